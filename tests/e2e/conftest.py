"""What end-to-end tests share: the cluster, and on it everything that an annotator needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.cluster import volumes
from tests.cluster.fixtures import cluster
from tests.cluster.targets import Target
from tests.demo.clips import synthetic
from tests.demo.images import bring
from tests.demo.install import NAMESPACE
from tests.demo.session import Session
from tests.demo.stage import Stage, staged
from tests.e2e.nodes import first_only
from tests.e2e.trackers import LiveTracker
from tests.samples import FULL

__all__ = ["cluster", "other", "stage", "undisturbed"]

OTHER = "other"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, visibly, what only a full run has the time for."""
    left_out = [] if FULL else [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def stage(cluster: Target) -> Iterator[Stage]:
    """The chart, CVAT's stand-in and a tracker that is Ready, on the first node; all removed in the end."""
    shared = volumes.SHARED if cluster.local else None
    with first_only(cluster), staged(cluster.kubectl, bring(cluster), storage_class=shared) as ready:
        yield ready


@pytest.fixture(scope="session")
def undisturbed(stage: Stage) -> Session:
    """What the annotator gets on a short clip, without a correction, when nothing happens."""
    return stage.play(replace(synthetic(24), correction=None))


@pytest.fixture
def other(stage: Stage) -> Iterator[LiveTracker]:
    """A second tracker for the test to apply; it is gone afterwards, and so is its function."""
    yield LiveTracker(stage, OTHER)
    stage.kubectl("--namespace", NAMESPACE, "delete", "s2t", OTHER, "--ignore-not-found", "--timeout=120s")
    assert [function.id for function in stage.cvat.functions()] == [stage.function_id]

"""What end-to-end tests share: the cluster, and on it everything that an annotator needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.fixtures import cluster
from tests.cluster.targets import Target
from tests.demo.images import bring
from tests.demo.stage import Stage, staged

__all__ = ["cluster", "stage"]


@pytest.fixture(scope="session")
def stage(cluster: Target) -> Iterator[Stage]:
    """The chart, CVAT's stand-in and a tracker that is Ready; all removed in the end."""
    with staged(cluster.kubectl, bring(cluster)) as ready:
        yield ready

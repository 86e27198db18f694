"""When a function that was replaced is served no more, nor will be."""

from __future__ import annotations

from typing import Any

import pytest

from sam2_operator.core.observed import Manifest, Pod, Workload
from sam2_operator.core.replacement import is_unused
from sam2_operator.core.workload import stateful_set
from tests.unit.operator.build import DEFAULTS, pod, tracker

STATUS: dict[str, Any] = {"functionID": 13, "obsoleteFunctionIDs": [11, 12]}


def there(function_id: int, *, observed: int = 2, replicas: int = 1) -> Manifest:
    """A StatefulSet of generation 2 with a template for this function."""
    wanted = stateful_set(tracker(), function_id, DEFAULTS, "digest")
    return {
        **wanted,
        "metadata": {**wanted["metadata"], "uid": "sts", "generation": 2},
        "spec": {**wanted["spec"], "replicas": replicas},
        "status": {"observedGeneration": observed, "updateRevision": "cars-agent-new"},
    }


@pytest.mark.parametrize(
    ("stateful_set", "agent", "unused"),
    [
        (None, None, True),
        (None, pod(), False),
        (there(13), pod(), True),
        (there(13), pod(revision="cars-agent-old"), False),
        (there(13, observed=1), pod(), False),
        (there(12), pod(), False),
        (there(13), None, True),
        (there(12), None, False),  # the update was refused, and the next pod may come at any moment
        (there(13, observed=1), None, False),  # so it may where the controller knows only the last template
        (there(7), None, True),  # somebody else's
        (there(12, replicas=0), None, False),  # whoever scaled it may scale it again
    ],
)
def test_what_was_replaced_is_unused_once_no_pod_serves_it_or_will(
    stateful_set: Manifest | None, agent: Pod | None, unused: bool
) -> None:
    assert is_unused(tracker(STATUS), Workload(stateful_set, agent, None)) == unused


@pytest.mark.parametrize(
    ("stateful_set", "agent", "unused"),
    [
        (there(12, replicas=0), None, True),
        (there(12, replicas=0, observed=1), None, False),
        (there(12, replicas=1), None, False),
        (there(12, replicas=0), pod(), False),
    ],
)
def test_a_suspended_agent_is_not_started_for_what_was_replaced(
    stateful_set: Manifest, agent: Pod | None, unused: bool
) -> None:
    suspended = tracker(STATUS, suspend=True)
    assert is_unused(suspended, Workload(stateful_set, agent, None)) == unused

"""The judge of statuses finds each kind of lie, and none in what is true."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.controlplane.recording import Version
from tests.controlplane.truth import lies

EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
Objects = dict[str, dict[str, Any]]


def tracker(version: int, generation: int, ready: str, since: str) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": ready,
        "observedGeneration": generation,
        "lastTransitionTime": since,
        "reason": "Serving" if ready == "True" else "RollingOut",
        "message": "The agent serves annotators.",
    }
    return {
        "metadata": {"name": "cars", "generation": generation, "resourceVersion": str(version)},
        "spec": {"function": {}, "agent": {"image": "one"}},
        "status": {
            "observedGeneration": generation,
            "functionID": 7,
            "function": {"name": "cars"},
            "conditions": [condition],
        },
    }


def history() -> Objects:
    """A tracker that becomes ready, with what served it then."""
    return {
        "before": tracker(10, 1, "False", EARLY),
        "now": tracker(13, 1, "True", LATE),
        "stateful set": {
            "metadata": {"generation": 1, "resourceVersion": "11"},
            "status": {"observedGeneration": 1, "updateRevision": "a"},
        },
        "pod": {
            "metadata": {"labels": {"controller-revision-hash": "a"}, "resourceVersion": "12"},
            "spec": {
                "containers": [
                    {"image": "one", "env": [{"name": "SAM2_AGENT_FUNCTION_ID", "value": "7"}]},
                ]
            },
            "status": {"phase": "Running"},
        },
    }


def judged(objects: Objects) -> list[str]:
    def versions(*names: str) -> list[Version]:
        return [Version(objects[name], deleted=False) for name in names]

    return lies(versions("before", "now"), versions("stateful set"), versions("pod"), ["hunter2"])


def condition(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = objects["now"]["status"]["conditions"][0]
    return found


LIES: dict[str, Callable[[Objects], Any]] = {
    "observed before it is there": lambda o: o["now"]["metadata"].update(generation=0),
    "Ready tells about generation 2": lambda o: condition(o).update(observedGeneration=2),
    "Ready tells about generation 0": lambda o: condition(o).update(observedGeneration=0),
    "about an older generation": lambda o: o["before"]["status"]["conditions"][0].update(
        observedGeneration=2
    ),
    "has the reason": lambda o: condition(o).update(reason="not one word"),
    "says no sentence": lambda o: condition(o).update(message="because"),
    "holds a secret": lambda o: condition(o).update(message="The password hunter2 is wrong."),
    "generation went back": lambda o: o["before"]["status"].update(observedGeneration=2),
    "moved without its status": lambda o: o["before"]["status"]["conditions"][0].update(status="True"),
    "went back": lambda o: condition(o).update(lastTransitionTime="2025-01-01T00:00:00Z"),
    "there is no agent": lambda o: o["pod"]["metadata"].update(resourceVersion="14"),
    "yet to be rolled out": lambda o: o["stateful set"]["metadata"].update(generation=2),
    "of an old revision": lambda o: o["stateful set"]["status"].update(updateRevision="b"),
    "does not run": lambda o: o["pod"]["status"].update(phase="Pending"),
    "runs one": lambda o: o["now"]["spec"]["agent"].update(image="two"),
    "serves another function": lambda o: o["now"]["status"].update(functionID=8),
    "still named cars": lambda o: o["now"]["spec"]["function"].update(name="bikes"),
}


def test_what_is_true_is_no_lie() -> None:
    assert judged(history()) == []


@pytest.mark.parametrize("words", LIES)
def test_each_kind_of_lie_is_found(words: str) -> None:
    objects = deepcopy(history())
    LIES[words](objects)
    assert any(words in lie for lie in judged(objects))

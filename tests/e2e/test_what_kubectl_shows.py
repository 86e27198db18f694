"""What cluster admins see of a tracker: columns, conditions, and sentences when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.waiting import wait_until
from tests.demo import install
from tests.demo.install import NAMESPACE, TRACKER, Account
from tests.demo.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

OTHER = "other"


@pytest.fixture
def other(stage: Stage) -> Iterator[str]:
    """The name of a second tracker for the test to apply; it is gone afterwards, and so is its function."""
    yield OTHER
    stage.kubectl("--namespace", NAMESPACE, "delete", "s2t", OTHER, "--ignore-not-found", "--timeout=120s")
    assert [function.id for function in stage.cvat.functions()] == [stage.function_id]


def condition(stage: Stage, name: str, kind: str) -> dict[str, Any]:
    """The condition of that type; empty until the operator has written it."""
    status = stage.kubectl.get("--namespace", NAMESPACE, "s2t", name).get("status", {})
    return next((each for each in status.get("conditions", []) if each["type"] == kind), {})


def wait_for_reason(stage: Stage, name: str, kind: str, reason: str) -> str:
    """The message of the condition once it has that reason."""
    assert wait_until(lambda: condition(stage, name, kind).get("reason") == reason, 90, every=0.5), (
        f"{kind} of {name} is {condition(stage, name, kind)}"
    )
    return str(condition(stage, name, kind)["message"])


def test_get_shows_function_readiness_agent_model_and_age(stage: Stage) -> None:
    header, row = stage.kubectl("--namespace", NAMESPACE, "get", "s2t", TRACKER).splitlines()
    assert header.split() == ["NAME", "FUNCTION", "READY", "AGENT", "MODEL", "AGE"]
    assert row.split()[:5] == [TRACKER, str(stage.function_id), "True", "Serving", "sam2.1_hiera_micro.pt"]


def test_describe_shows_the_conditions(stage: Stage) -> None:
    described = stage.kubectl("--namespace", NAMESPACE, "describe", "s2t", TRACKER)
    for kind in ("Ready", "FunctionRegistered", "StateStoreReachable", "AgentAvailable"):
        assert f"Type:                  {kind}\n" in described
    assert f"Function {stage.function_id} is registered in CVAT." in described


def test_wrong_credentials_are_a_condition_that_says_where_to_correct_them(stage: Stage, other: str) -> None:
    install.apply_credentials(stage.kubectl, "wrong", Account("agent", "not the password"))
    manifest = install.tracker(other)
    manifest["spec"]["cvat"]["credentialsSecretRef"] = {"name": "wrong"}
    install.apply_tracker(stage.kubectl, manifest)
    message = wait_for_reason(stage, other, "Ready", "CredentialsRefused")
    assert "agent" in message
    assert "credentialsSecretRef" in message
    assert "not the password" not in message


def test_a_pod_that_fits_nowhere_is_told_in_the_schedulers_words(stage: Stage, other: str) -> None:
    resources = {"limits": {"nvidia.com/gpu": 99}}
    install.apply_tracker(stage.kubectl, install.tracker(other, agent={"resources": resources}))
    message = wait_for_reason(stage, other, "AgentAvailable", "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in message
    assert condition(stage, other, "Ready")["status"] == "False"
    assert condition(stage, other, "FunctionRegistered")["status"] == "True"


def test_a_model_that_is_not_there_is_told_in_the_agents_words(stage: Stage, other: str) -> None:
    manifest = install.tracker(other)
    manifest["spec"]["model"]["checkpoint"] = "absent.pt"
    install.apply_tracker(stage.kubectl, manifest)
    message = wait_for_reason(stage, other, "AgentAvailable", "ModelNotFound")
    assert "absent.pt" in message

"""What cluster admins see of a tracker: columns, conditions, and sentences when something is wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.demo import install
from tests.demo.install import NAMESPACE, TRACKER, Account
from tests.demo.stage import Stage
from tests.e2e.trackers import HEALED_WITHIN, LiveTracker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_get_shows_function_readiness_agent_model_and_age(stage: Stage) -> None:
    header, row = stage.kubectl("--namespace", NAMESPACE, "get", "s2t", TRACKER).splitlines()
    assert header.split() == ["NAME", "FUNCTION", "READY", "AGENT", "MODEL", "AGE"]
    assert row.split()[:5] == [TRACKER, str(stage.function_id), "True", "Serving", "sam2.1_hiera_micro.pt"]


def test_describe_shows_the_conditions(stage: Stage) -> None:
    described = stage.kubectl("--namespace", NAMESPACE, "describe", "s2t", TRACKER)
    for kind in ("Ready", "FunctionRegistered", "StateStoreReachable", "AgentAvailable"):
        assert f"Type:                  {kind}\n" in described
    assert f"Function {stage.function_id} is registered in CVAT." in described


def test_wrong_credentials_are_a_condition_that_says_where_to_correct_them(
    stage: Stage, other: LiveTracker
) -> None:
    install.apply_credentials(stage.kubectl, "wrong", Account("agent", "not the password"))
    other.apply(cvat={"credentialsSecretRef": {"name": "wrong"}})
    message = other.wait_for_reason("Ready", {"CredentialsRefused"})
    assert "agent" in message
    assert "credentialsSecretRef" in message
    assert "not the password" not in message


def test_a_pod_that_fits_nowhere_is_told_in_the_schedulers_words(other: LiveTracker) -> None:
    other.apply(agent={"resources": {"limits": {"nvidia.com/gpu": 99}}})
    message = other.wait_for_reason("AgentAvailable", {"Unschedulable"})
    assert "Insufficient nvidia.com/gpu" in message
    assert other.condition("Ready")["status"] == "False"
    assert other.condition("FunctionRegistered")["status"] == "True"


def test_a_model_that_is_not_there_is_told_in_the_agents_words(other: LiveTracker) -> None:
    other.apply(model={"checkpoint": "absent.pt"})
    assert "absent.pt" in other.wait_for_reason("AgentAvailable", {"ModelNotFound"}, within=HEALED_WITHIN)


def test_a_volume_that_cannot_be_mounted_is_told_although_the_pod_tells_nothing(
    stage: Stage, other: LiveTracker
) -> None:
    from_hub = {"config": None, "checkpoint": None, "volume": None, "id": "facebook/sam2.1-hiera-tiny"}
    other.apply(model={**from_hub, "tokenSecretRef": {"name": "hub", "key": "token"}})
    message = other.wait_for_reason("Ready", {"FailedMount"})
    assert 'secret "hub" not found' in message
    make_secret(stage, "hub", "token")
    # The pod starts by itself; what it says then is another matter: there is no hub.
    other.wait_for_reason("AgentAvailable", {"LoadingModel", "ModelNotFound"}, within=HEALED_WITHIN)


class Trouble(NamedTuple):
    """A spec that cannot work, why, and what the sentence must name."""

    spec: dict[str, dict[str, Any]]
    reason: str
    words: tuple[str, ...]


FROM_ABSENT = {"name": "GREETING", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "greeting"}}}
TROUBLES = {
    "no such image": Trouble(
        {"agent": {"image": "sam2-tracker-agent:absent"}},
        "ImagePullBackOff",
        ("sam2-tracker-agent:absent", "spec.agent.image"),
    ),
    "no such claim": Trouble(
        {"model": {"volume": {"claimName": "absent"}}}, "Unschedulable", ('"absent" not found', "spec.model")
    ),
    "no such secret": Trouble(
        {"agent": {"env": [FROM_ABSENT]}},
        "CreateContainerConfigError",
        ('"absent" not found', "spec.agent.env"),
    ),
    "too little memory": Trouble(
        {"agent": {"resources": {"limits": {"memory": "96Mi"}}}}, "OOMKilled", ("limits.memory",)
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_what_stands_in_the_way_is_told_until_it_is_gone(other: LiveTracker, trouble: Trouble) -> None:
    other.apply(**trouble.spec)
    message = other.wait_for_reason("Ready", {trouble.reason}, within=HEALED_WITHIN)
    for word in trouble.words:
        assert word in message
    assert other.condition("AgentAvailable")["reason"] == trouble.reason
    other.apply()
    other.wait_until_ready()


@pytest.mark.full
def test_a_quota_is_told_in_the_api_servers_words_until_it_is_raised(
    stage: Stage, other: LiveTracker
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-more", "namespace": NAMESPACE},
    }
    stage.kubectl.apply({**quota, "spec": {"hard": {"pods": "1"}}})
    try:
        other.apply()
        message = other.wait_for_reason("Ready", {"PodRefused"})
        assert "exceeded quota: no-more" in message
    finally:
        stage.kubectl("--namespace", NAMESPACE, "delete", "resourcequota", "no-more")
    other.wait_until_ready()


@pytest.mark.full
def test_a_queue_that_cvat_keeps_from_the_agent_is_told_in_the_agents_words(
    stage: Stage, other: LiveTracker
) -> None:
    other.apply()
    other.wait_until_ready()
    queue = f"/api/functions/queues/function:{other.function_id()}/**"
    refusals = [
        stage.cvat.faults.status(f"{verb} {queue}", 403, detail="Not yours.", times=None)
        for verb in ("GET", "POST")
    ]
    try:
        message = other.wait_for_reason("Ready", {"AccessDenied"})
        assert "Not yours." in message
    finally:
        for refusal in refusals:
            refusal.clear()
    other.wait_until_ready()


def make_secret(stage: Stage, name: str, key: str) -> None:
    metadata = {"name": name, "namespace": NAMESPACE}
    stage.kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: "a value"}}
    )

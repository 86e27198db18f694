"""Why there is no agent that serves, in the words of the scheduler, the kubelet or the agent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.controlplane.agents import SpeakingAgent, container_status, running
from tests.controlplane.harness import Namespace, Operator
from tests.cvat_standin.client import CVAT, wait_for

pytestmark = pytest.mark.controlplane


def test_a_quota_that_forbids_the_pod_is_quoted(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none", "namespace": namespace.name},
            "spec": {"hard": {"pods": "0"}},
        }
    )
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)

    def told() -> bool:
        operator.reconcile(namespace.name)
        return namespace.reason() == "PodRefused"

    wait_for(told, "the quota's words")
    assert "exceeded quota: none" in namespace.condition("Ready")["message"]


def test_the_schedulers_words(annotation: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)

    def told() -> bool:
        operator.reconcile(namespace.name)
        return namespace.reason() == "Unschedulable"

    wait_for(told, "the scheduler's words")
    message = namespace.condition("Ready")["message"]
    assert "no nodes available to schedule pods" in message
    assert "spec.agent.resources" in message


PULLING = container_status(
    {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nope"'}}
)
CREATING = container_status({"waiting": {"reason": "ContainerCreating"}})


def crashed(reason: str, message: str, exit_code: int = 1) -> dict[str, Any]:
    ended = {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason,
            "message": message,
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:01Z",
        }
    }
    waiting = {
        "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}
    }
    return container_status(waiting, restarts=3, last=ended)


@pytest.mark.parametrize(
    ("container", "reason", "words"),
    [
        (PULLING, "ImagePullBackOff", 'Back-off pulling image "nope". Check spec.agent.image'),
        (CREATING, "Starting", "pulls the image"),
        (
            crashed("Error", json.dumps({"reason": "ModelNotFound", "message": "The hub has no model a/b."})),
            "ModelNotFound",
            "The hub has no model a/b. It was restarted 3 times.",
        ),
        (crashed("OOMKilled", "", 137), "OOMKilled", "raise spec.agent.resources.limits.memory"),
        (
            crashed("Error", "Traceback\nValueError: no"),
            "AgentCrashed",
            "ended with status 1 (Error): ValueError: no",
        ),
    ],
)
def test_the_kubelets_and_the_agents_last_words(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    *,
    container: dict[str, Any],
    reason: str,
    words: str,
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    wait_for(lambda: namespace.exists("pod", "cars-agent-0"), "the pod")
    scheduled = [{"type": "PodScheduled", "status": "True"}]
    namespace.pod_status({"phase": "Pending", "conditions": scheduled, "containerStatuses": [container]})

    def told() -> bool:
        operator.reconcile(namespace.name)
        if namespace.condition("Ready")["reason"] == "Unschedulable":  # the scheduler was later than we
            namespace.pod_status(
                {"phase": "Pending", "conditions": scheduled, "containerStatuses": [container]}
            )
        return namespace.reason() == reason

    wait_for(told, reason)
    assert words in namespace.condition("Ready")["message"]
    assert namespace.status()["agent"]["restarts"] == container["restartCount"]


def test_the_agents_own_words(
    annotation: CVAT, namespace: Namespace, operator: Operator, serving: SpeakingAgent
) -> None:
    serving.says(ready=False, reason="AccessDenied", message="The account ann may not serve function 1.")
    operator.settle(namespace.name)
    ready = namespace.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "AccessDenied")
    assert ready["message"] == "The account ann may not serve function 1."
    serving.says(ready=True, reason="Serving", message="The agent serves.")
    operator.settle(namespace.name)
    assert namespace.condition("Ready")["status"] == "True"

    namespace.pod_status(running("127.0.0.1"))  # nobody answers there
    operator.clock.advance(31)
    operator.settle(namespace.name)
    assert namespace.condition("Ready")["reason"] == "AgentUnreachable"


def test_ready_is_false_at_once_for_a_changed_spec_and_true_for_its_own_agent_only(
    annotation: CVAT, namespace: Namespace, operator: Operator, serving: SpeakingAgent
) -> None:
    namespace.apply_tracker(annotation.url, model={"precision": "float32"})
    assert not operator.reconcile(namespace.name).ready
    told = namespace.condition("Ready")
    assert told["status"] == "False"
    assert told["observedGeneration"] == namespace.get("s2t", "cars")["metadata"]["generation"]

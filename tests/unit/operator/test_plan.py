"""What is changed in Kubernetes, and what never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sam2_operator.core.children import network_policy, service_account, state_secret
from sam2_operator.core.drift import with_digest
from sam2_operator.core.observed import Manifest, Workload
from sam2_operator.core.plan import Action, Apply, Children, Delete, DeletePod, Refuse, Wishes, plan, refusal
from sam2_operator.core.timestamps import text
from sam2_operator.core.workload import stateful_set
from tests.unit.operator.build import DEFAULTS, NOW, UID, pod, tracker, workload

STATE_URL = "redis://s2t:secret@redis/0"
WISHES = Wishes(7, STATE_URL, "digest", DEFAULTS, shared_cache=True)
TEMPLATE = {"size": "10Gi", "storageClassName": "fast"}


def live(wanted: Manifest) -> Manifest:
    """The object as the API server has it after an apply."""
    made = with_digest(wanted)
    return {**made, "metadata": {**made["metadata"], "uid": f"uid-{wanted['kind']}", "generation": 2}}


def children(agent: Any = None, **changes: Any) -> Children:
    cars = tracker()
    there = live(stateful_set(cars, 7, DEFAULTS, "digest"))
    there["status"] = {"observedGeneration": 2, "updateRevision": "cars-agent-new"}
    usual = Children(
        service_account=live(service_account(cars)),
        network_policy=live(network_policy(cars)),
        state_secret=live(state_secret(cars, STATE_URL)),
        cache_claim=None,
        workload=Workload(stateful_set=there, pod=agent, report=None),
    )
    return replace(usual, **changes)


def actions(found: Children, wishes: Wishes = WISHES, **spec: Any) -> list[Action]:
    return plan(tracker(**spec), found, wishes, NOW)


def claim(**changes: Any) -> Manifest:
    """The tracker's claim as it is."""
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "cars-cache", "uid": "uid-claim", "ownerReferences": [{"uid": UID}]},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "10Gi"}},
        }
        | changes,
    }


def test_what_is_right_is_left_alone() -> None:
    assert actions(children(pod())) == []


def test_what_is_missing_is_made() -> None:
    nothing = Children(None, None, None, None, Workload(None, None, None))
    made = [action.wanted["kind"] for action in actions(nothing) if isinstance(action, Apply)]
    assert made == ["ServiceAccount", "NetworkPolicy", "Secret", "StatefulSet"]


def test_without_a_function_there_is_no_agent() -> None:
    nothing = Children(None, None, None, None, Workload(None, None, None))
    made = actions(nothing, replace(WISHES, function_id=None))
    assert "StatefulSet" not in [action.wanted["kind"] for action in made if isinstance(action, Apply)]


def test_a_difference_is_told_by_its_place() -> None:
    (action,) = actions(children(pod()), suspend=True)
    assert isinstance(action, Apply)
    assert action.why == "StatefulSet cars-agent differs in spec.replicas" or "annotations" in action.why


def test_the_secret_goes_when_the_redis_is_the_users_own() -> None:
    (action,) = actions(children(pod()), replace(WISHES, state_url=None))
    assert isinstance(action, Delete)
    assert action.kind == "Secret"


def test_what_belongs_to_somebody_else_is_named_and_left_alone() -> None:
    theirs = live(state_secret(tracker(), STATE_URL))
    theirs["metadata"]["ownerReferences"] = []
    (action,) = actions(children(pod(), state_secret=theirs))
    assert isinstance(action, Refuse)
    assert "Secret cars-state exists and does not belong to this tracker" in action.problem.message
    assert actions(children(pod(), state_secret=theirs), replace(WISHES, state_url=None)) == []


def test_what_an_earlier_tracker_of_the_name_left_is_taken_over() -> None:
    earlier = live(state_secret(tracker(), STATE_URL))
    earlier["metadata"]["ownerReferences"][0]["uid"] = "another"
    (action,) = actions(children(pod(), state_secret=earlier))
    assert isinstance(action, Apply)
    assert action.wanted["metadata"]["ownerReferences"][0]["uid"] == UID


def test_what_is_going_is_waited_for() -> None:
    going = live(state_secret(tracker(), "redis://old"))
    going["metadata"]["deletionTimestamp"] = text(NOW)
    assert actions(children(pod(), state_secret=going)) == []


def held(there: Manifest, *finalizers: str, seconds: int = 31) -> Manifest:
    """The object since its deletion was asked for."""
    at = text(NOW - timedelta(seconds=seconds))
    return {
        **there,
        "metadata": {**there["metadata"], "deletionTimestamp": at, "finalizers": list(finalizers)},
    }


@pytest.mark.parametrize("field", ["service_account", "network_policy", "state_secret"])
def test_what_somebody_keeps_from_going_is_named(field: str) -> None:
    there = getattr(children(), field)
    (action,) = actions(children(pod(), **{field: held(there, "example.com/theirs", "orphan")}))
    assert isinstance(action, Refuse)
    assert action.problem.reason == "HeldInDeletion"
    told = action.problem.message
    named = f"The {there['kind']} {there['metadata']['name']}"
    assert f"{named} is being deleted since 2026-01-01T11:59:29Z" in told
    assert "example.com/theirs" in told
    assert "orphan" not in told


def test_a_stateful_set_that_somebody_keeps_from_going_is_named() -> None:
    there = children().workload.stateful_set
    assert there is not None
    going = Workload(held(there, "example.com/one", "example.com/two"), None, None)
    (action,) = actions(children(workload=going))
    assert isinstance(action, Refuse)
    assert "StatefulSet cars-agent" in action.problem.message
    assert "example.com/one, example.com/two" in action.problem.message


@pytest.mark.parametrize(
    ("finalizers", "seconds"),
    [
        (("example.com/theirs",), 30),
        (("foregroundDeletion",), 3600),
        (("orphan",), 3600),
        (("kubernetes.io/pvc-protection",), 3600),
    ],
)
def test_what_goes_by_itself_is_not_told_of(finalizers: tuple[str, ...], seconds: int) -> None:
    spec: dict[str, Any] = {"model": {"cache": {"volumeClaimTemplate": TEMPLATE}}}
    going = held(claim(), *finalizers, seconds=seconds)
    found = actions(children(pod(node=None), cache_claim=going), **spec)
    assert [action for action in found if isinstance(action, Refuse)] == []


def test_what_is_no_longer_wanted_may_be_kept_from_going() -> None:
    going = held(claim(), "example.com/theirs")
    assert actions(children(pod(node=None), cache_claim=going)) == []


@pytest.mark.parametrize(
    ("agent", "observed", "deleted"),
    [
        ({"ready": False, "revision": "cars-agent-old"}, 2, True),
        ({"ready": True, "revision": "cars-agent-old"}, 2, False),
        ({"ready": False, "revision": "cars-agent-new"}, 2, False),
        ({"ready": False, "revision": "cars-agent-old"}, 1, False),
        ({"ready": False, "revision": "cars-agent-old", "deleted_at": text(NOW)}, 2, False),
    ],
)
def test_a_pod_that_blocks_a_rollout_is_deleted_gracefully(
    agent: dict[str, Any], observed: int, deleted: bool
) -> None:
    found = children(pod(**agent))
    assert found.workload.stateful_set is not None
    found.workload.stateful_set["status"]["observedGeneration"] = observed
    assert [action for action in actions(found) if isinstance(action, DeletePod)] == (
        [DeletePod(pod(**agent), force=False, why="it never became ready and its settings are outdated")]
        if deleted
        else []
    )


@pytest.mark.parametrize(
    ("policy", "seconds_late", "shared", "forced"),
    [
        ("Replace", 11, True, True),
        ("Replace", 9, True, False),
        ("Replace", 31, False, False),
        ("Wait", 3600, True, False),
    ],
)
def test_a_pod_on_a_lost_node(policy: str, seconds_late: int, shared: bool, forced: bool) -> None:
    lost = pod(deleted_at=text(NOW - timedelta(seconds=seconds_late)))
    found = actions(children(lost), replace(WISHES, shared_cache=shared), agent={"onNodeLoss": policy})
    assert [action.force for action in found if isinstance(action, DeletePod)] == ([True] if forced else [])


def test_a_claim_grows_and_never_shrinks() -> None:
    def asked(size: str) -> list[str]:
        spec: dict[str, Any] = {"model": {"cache": {"volumeClaimTemplate": {**TEMPLATE, "size": size}}}}
        found = actions(children(pod(), cache_claim=claim()), **spec)
        return [
            action.wanted["spec"]["resources"]["requests"]["storage"]
            for action in found
            if isinstance(action, Apply) and action.wanted["kind"] == "PersistentVolumeClaim"
        ]

    assert asked("20Gi") == ["20Gi"]
    assert asked("5Gi") == ["10Gi"]


def test_a_claim_that_may_not_grow_can_be_made_anew() -> None:
    spec: dict[str, Any] = {"model": {"cache": {"volumeClaimTemplate": {**TEMPLATE, "size": "20Gi"}}}}
    for there, says in ((claim(), True), (None, False)):
        found = actions(children(pod(), cache_claim=there), **spec)
        (grow,) = (each for each in found if isinstance(each, Apply) and "-cache" in each.why)
        told = refusal(grow, "only dynamically provisioned pvc can be resized").message
        assert ("wait until the claim cars-cache is gone" in told) == says


def test_a_claim_of_another_class_is_made_anew() -> None:
    spec: dict[str, Any] = {
        "model": {"cache": {"volumeClaimTemplate": {**TEMPLATE, "storageClassName": "slow"}}}
    }
    found = actions(children(pod(), cache_claim=claim()), **spec)
    assert [action.kind for action in found if isinstance(action, Delete)] == ["PersistentVolumeClaim"]
    going = claim()
    going["metadata"]["deletionTimestamp"] = text(NOW)
    found = actions(children(pod(), cache_claim=going), **spec)
    assert [action.why for action in found if isinstance(action, DeletePod)] == [
        "the volume that it holds is to be deleted"
    ]


def test_a_claim_that_is_no_longer_wanted_goes() -> None:
    found = actions(children(pod(), cache_claim=claim()))
    assert [action.kind for action in found if isinstance(action, Delete)] == ["PersistentVolumeClaim"]


def test_workload_knows_whether_its_pod_is_current() -> None:
    assert workload(pod()).current
    assert not workload(pod(), observed=1).current
    assert not workload(pod(revision="cars-agent-old")).current
    assert not workload(None).current

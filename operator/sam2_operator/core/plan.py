"""What to change in Kubernetes so that the tracker's objects are right, each with the reason why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from sam2_operator.core.children import (
    cache_claim,
    door_secret,
    door_service,
    network_policy,
    service_account,
    state_secret,
)
from sam2_operator.core.drift import amount, drift, outlasts_an_apply, with_digest
from sam2_operator.core.observed import Manifest, Pod, Problem, Workload
from sam2_operator.core.ownership import is_leftover, is_owned
from sam2_operator.core.timestamps import parse
from sam2_operator.core.workload import stateful_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.placement import Defaults
    from sam2_operator.core.ports import Kind

_CLAIM = "PersistentVolumeClaim"
NODE_LOSS_MARGIN = timedelta(seconds=10)
"""How long after the end of its grace period a pod counts as being on a node that does not answer. A kubelet
that does answer kills it when the grace period ends, and says so a second or two later."""
HELD_AFTER = timedelta(seconds=30)
"""How long after its deletion an object counts as held: most of those who set finalizers take a moment."""
_PASSING_FINALIZERS = frozenset({"foregroundDeletion", "orphan", "kubernetes.io/pvc-protection"})
"""Kubernetes' own: they end with the pod, of which more can be told."""


@dataclass(frozen=True, slots=True)
class Children:
    """The tracker's objects, as they are; None where there is none."""

    service_account: Manifest | None
    network_policy: Manifest | None
    state_secret: Manifest | None
    cache_claim: Manifest | None
    workload: Workload
    door_service: Manifest | None = None
    """Of a serverless tracker, as is the next."""
    door_secret: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the objects are made from, besides the tracker itself."""

    function_id: int | None
    state_url: str | None
    """The tracker's own Redis URL, for the Secret; None for a Redis of the user's own."""
    restart_digest: str
    defaults: Defaults
    shared_cache: bool
    """Whether two nodes can mount the cache."""
    door_token: str | None = None
    """What the gateway shows the agent of a serverless tracker; None while there is no gateway."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Make an object be so."""

    wanted: Manifest
    live: Manifest | None
    why: str
    overwrite: bool = False
    """Whether lists and selectors are to be as wanted, whoever added to them: what somebody else added, or
    renamed an item of ours to, counts as theirs, and a server-side apply leaves it there."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object of the tracker's own."""

    kind: Kind
    live: Manifest
    why: str


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete the agent's pod."""

    pod: Pod
    force: bool
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Something stands in the way that the operator must not touch."""

    problem: Problem


Action: TypeAlias = Apply | Delete | DeletePod | Refuse


def plan(tracker: Tracker, children: Children, wishes: Wishes, now: datetime) -> list[Action]:
    """Give the changes, in order."""
    wanted: list[tuple[Manifest | None, Manifest | None]] = [
        (service_account(tracker), children.service_account),
        (network_policy(tracker, wishes.defaults.gateway), children.network_policy),
        (state_secret(tracker, wishes.state_url) if wishes.state_url else None, children.state_secret),
        (_grown(cache_claim(tracker), children.cache_claim), children.cache_claim),
    ]
    if wishes.door_token is not None:
        wanted.append((door_service(tracker), children.door_service))
        wanted.append((door_secret(tracker, wishes.door_token), children.door_secret))
    if _runs(tracker, children, wishes):
        workload = stateful_set(tracker, wishes.function_id, wishes.defaults, wishes.restart_digest)
        wanted.append((workload, children.workload.stateful_set))
    changes = [action for each, live in wanted for action in _change(tracker, each, live, now)]
    if _agent_may_use_the_old(changes, children.workload):
        changes = [each for each in changes if not (isinstance(each, Delete) and each.kind == "Secret")]
    return [*changes, *_pod_changes(tracker, children, wishes, now)]


def refusal(action: Apply | Delete | DeletePod, words: str) -> Problem:
    """Tell that the API server does not take what the plan asks for, and the way out that it cannot know."""
    message = f"The API server refuses what the tracker asks for: {words.rstrip('.')}."
    if isinstance(action, Apply) and action.live is not None and action.live["kind"] == _CLAIM:
        message += (
            " A cache that cannot grow can be made anew: remove spec.model.cache, wait until the claim "
            f"{action.live['metadata']['name']} is gone (the cached weights go with it), then set it again."
        )
    return Problem("Refused", message)


def _runs(tracker: Tracker, children: Children, wishes: Wishes) -> bool:
    """Whether there is to be a StatefulSet; a serverless one that runs is kept right without a gateway."""
    if tracker.is_serverless:
        return wishes.door_token is not None or children.workload.stateful_set is not None
    return wishes.function_id is not None


def _agent_may_use_the_old(changes: Iterable[Action], workload: Workload) -> bool:
    """Whether there is, or may be, a pod of other settings than those that are wanted now."""
    if any(isinstance(each, Apply) and each.wanted["kind"] == "StatefulSet" for each in changes):
        return workload.stateful_set is not None
    return workload.pod is not None and not workload.current


def _change(
    tracker: Tracker, wanted: Manifest | None, live: Manifest | None, now: datetime
) -> Iterator[Action]:
    if live is not None and live["metadata"].get("deletionTimestamp"):
        if wanted is not None:
            yield from _held(live, now)  # what goes is made anew once it is gone
        return
    ours = live is not None and (is_owned(tracker, live) or is_leftover(tracker, live))
    if wanted is None:
        if live is not None and ours:
            yield Delete(live["kind"], live, "it is no longer wanted")
        return
    name = f"{wanted['kind']} {wanted['metadata']['name']}"
    if live is not None and not ours:
        message = f"The {name} exists and does not belong to this tracker: delete or rename it."
        yield Refuse(Problem("NameTaken", message))
        return
    if live is not None and _must_be_replaced(wanted, live):
        yield Delete(live["kind"], live, "its class or access mode cannot change")
        return
    wanted = with_digest(wanted)
    difference = drift(wanted, live)
    if difference is not None:
        why = f"{name} is missing" if live is None else f"{name} differs in {difference}"
        yield Apply(wanted, live, why, overwrite=outlasts_an_apply(difference))


def _held(live: Manifest, now: datetime) -> Iterator[Refuse]:
    """Tell that somebody keeps an object from going, and so from being made anew."""
    metadata = live["metadata"]
    holders = [each for each in metadata.get("finalizers", []) if each not in _PASSING_FINALIZERS]
    if not holders or now - parse(metadata["deletionTimestamp"]) <= HELD_AFTER:
        return
    message = (
        f"The {live['kind']} {metadata['name']} is being deleted since {metadata['deletionTimestamp']} and "
        f"kept by finalizers ({', '.join(holders)}); it is made anew once it is gone. Wait for whoever set "
        f"them, or remove them: kubectl edit {live['kind'].lower()} {metadata['name']}."
    )
    yield Refuse(Problem("HeldInDeletion", message))


def _pod_changes(tracker: Tracker, children: Children, wishes: Wishes, now: datetime) -> Iterator[Action]:
    pod, claim = children.workload.pod, children.cache_claim
    if pod is None:
        return
    if pod.deleted_at is not None:
        overdue = now - parse(pod.deleted_at) > NODE_LOSS_MARGIN
        if overdue and tracker.spec.agent.on_node_loss == "Replace" and wishes.shared_cache:
            why = f"its node {pod.node} does not answer and spec.agent.onNodeLoss is Replace"
            yield DeletePod(pod, force=True, why=why)
        return
    # It is outdated only where the controller knows of the newest template.
    if not pod.ready and not children.workload.current and children.workload.is_seen:
        yield DeletePod(pod, force=False, why="it never became ready and its settings are outdated")
    elif claim is not None and claim["metadata"].get("deletionTimestamp") and pod.node is not None:
        yield DeletePod(pod, force=False, why="the volume that it holds is to be deleted")


def _grown(wanted: Manifest | None, live: Manifest | None) -> Manifest | None:
    """Never ask for less space than there is: volumes cannot shrink."""
    if wanted is None or live is None:
        return wanted
    has = live["spec"]["resources"]["requests"]["storage"]
    if amount(has) <= amount(wanted["spec"]["resources"]["requests"]["storage"]):
        return wanted
    return {**wanted, "spec": {**wanted["spec"], "resources": {"requests": {"storage": has}}}}


def _must_be_replaced(wanted: Manifest, live: Manifest) -> bool:
    if wanted["kind"] != _CLAIM:
        return False
    asked = wanted["spec"].get("storageClassName")
    other_class = asked is not None and live["spec"].get("storageClassName") != asked
    return bool(other_class or live["spec"].get("accessModes") != wanted["spec"]["accessModes"])

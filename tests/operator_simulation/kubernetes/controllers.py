"""Kubernetes' own controllers, as far as the operator relies on them: StatefulSets, kubelet, collector."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from sam2_operator.core.timestamps import text
from tests.operator_simulation.kubernetes.store import ApiError, Store
from tests.operator_simulation.strands import StrandLoop

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest

BROKEN_IMAGE = "broken"
"""Part of the name of images that cannot be pulled."""
_STATEFUL_SETS, _PODS = "statefulsets", "pods"


@dataclass
class Controllers:
    """Bring StatefulSets and their pods along, some time after each change, and remove what has no owner."""

    loop: StrandLoop
    rng: Random
    store: Store
    refuse_pods: bool = False
    _addresses: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _names: itertools.count[int] = field(default_factory=itertools.count)
    _due: set[tuple[str, str, str]] = field(default_factory=set)

    def notice(self, plural: str, live: Manifest) -> None:
        """Look at what changed, later."""
        metadata = live["metadata"]
        namespace = metadata.get("namespace", "")
        if plural == _STATEFUL_SETS:
            self._later("set", namespace, metadata["name"], self._stateful_set)
        if plural == _PODS:
            self._later("pod", namespace, metadata["name"], self._pod)
            self._later("set", namespace, metadata["name"].removesuffix("-0"), self._stateful_set)
        for owner in metadata.get("ownerReferences", []):
            if not self.store.has_uid(owner["uid"]):  # made by somebody who had not heard of its end
                self._later("owner", "", owner["uid"], lambda _, uid: self._collect(uid))
        if not self.store.has_uid(metadata["uid"]):
            self._later("owner", "", metadata["uid"], lambda _, uid: self._collect(uid))
            if namespace and self._is_ending(namespace):
                self._later("namespace", "", namespace, lambda _, name: self._end(name))
        if plural == "namespaces" and metadata.get("deletionTimestamp"):
            self._later("namespace", "", metadata["name"], lambda _, name: self._end(name))

    def look(self) -> None:
        """Look at all again: what was refused may be allowed by now."""
        for live in self.store.all(_STATEFUL_SETS):
            self.notice(_STATEFUL_SETS, live)

    def _later(self, what: str, namespace: str, name: str, act: Callable[[str, str], None]) -> None:
        due = (what, namespace, name)
        if due in self._due:
            return
        self._due.add(due)

        def now() -> None:
            self._due.discard(due)
            act(namespace, name)

        self.loop.outside(self.rng.uniform(0.02, 0.3) if self.rng.random() < 0.8 else 4.0, now)

    # StatefulSets

    def _stateful_set(self, namespace: str, name: str) -> None:
        key = (_STATEFUL_SETS, namespace, name)
        live = self.store.find(key)
        if live is None or live["metadata"].get("deletionTimestamp"):
            return
        revision = _revision(live)
        status = {"observedGeneration": live["metadata"]["generation"], "updateRevision": revision}
        if live.get("status") != status:
            self.store.update_status(key, {"metadata": {}, "status": status})
        pod = self.store.find((_PODS, namespace, f"{name}-0"))
        if pod is None:
            if live["spec"]["replicas"]:
                self._make_pod(live, revision)
        elif pod["metadata"].get("deletionTimestamp") is None:
            other = pod["metadata"]["labels"]["controller-revision-hash"] != revision
            if other or not live["spec"]["replicas"]:
                self.store.delete((_PODS, namespace, f"{name}-0"), grace=30.0)

    def _make_pod(self, live: Manifest, revision: str) -> None:
        metadata, template = live["metadata"], live["spec"]["template"]
        namespace, name = metadata["namespace"], f"{metadata['name']}-0"
        pod = {
            "metadata": {
                "labels": {**template["metadata"]["labels"], "controller-revision-hash": revision},
                "ownerReferences": [
                    {"kind": "StatefulSet", "name": metadata["name"], "uid": metadata["uid"]}
                ],
            },
            "spec": {**template["spec"], "nodeName": "node-1"},
        }
        if self.refuse_pods:
            self._tell(live, "exceeded quota")
            return
        try:
            self.store.create((_PODS, namespace, name), pod)
        except ApiError as error:
            self._tell(live, error.message)

    def _tell(self, live: Manifest, message: str) -> None:
        metadata = live["metadata"]
        event = {
            "involvedObject": {"uid": metadata["uid"]},
            "reason": "FailedCreate",
            "message": message,
            "lastTimestamp": text(self.store.now()),
        }
        try:
            self.store.create(("events", metadata["namespace"], f"failed-{next(self._names)}"), event)
        except ApiError:
            return

    # The kubelet

    def _pod(self, namespace: str, name: str) -> None:
        key = (_PODS, namespace, name)
        live = self.store.find(key)
        if live is None:
            return
        uid = live["metadata"]["uid"]
        if live["metadata"].get("deletionTimestamp"):
            self.loop.outside(self.rng.uniform(0.1, 8.0), self._remove, key, uid)
            return
        if "status" in live:
            return
        if BROKEN_IMAGE in live["spec"]["containers"][0]["image"]:
            status = _waiting()
        else:
            status = running(f"10.0.{next(self._addresses)}.1")
        self.store.update_status(key, {"metadata": {}, "status": status})

    def _remove(self, key: tuple[str, str, str], uid: str) -> None:
        live = self.store.find(key)
        if live is not None and live["metadata"]["uid"] == uid:
            self.store.delete(key)

    # What has no owner, and namespaces

    def _collect(self, uid: str) -> None:
        for plural in (
            _STATEFUL_SETS,
            _PODS,
            "serviceaccounts",
            "networkpolicies",
            "secrets",
            "persistentvolumeclaims",
        ):
            for live in self.store.all(plural):
                owners = [each["uid"] for each in live["metadata"].get("ownerReferences", [])]
                if uid in owners and not any(self.store.has_uid(each) for each in owners):
                    metadata = live["metadata"]
                    key = (plural, metadata["namespace"], metadata["name"])
                    if not metadata.get("deletionTimestamp"):
                        self.store.delete(key, grace=30.0 if plural == _PODS else 0.0)

    def _is_ending(self, name: str) -> bool:
        live = self.store.find(("namespaces", "", name))
        return live is not None and live["metadata"].get("deletionTimestamp") is not None

    def _end(self, name: str) -> None:
        """Delete everything in a namespace, and in the end itself."""
        if not self._is_ending(name):
            return
        keys = list(self.store.keys(name))
        for key in keys:
            live = self.store.find(key)
            if live is not None and not live["metadata"].get("deletionTimestamp"):
                self.store.delete(key, grace=30.0 if key[0] == _PODS else 0.0)
        if not list(self.store.keys(name)):
            self.store.update(("namespaces", "", name), {"metadata": {"finalizers": None}})


def _revision(live: Manifest) -> str:
    text_of = json.dumps(live["spec"]["template"], sort_keys=True)
    return f"{live['metadata']['name']}-{hashlib.sha256(text_of.encode()).hexdigest()[:10]}"


def running(address: str, *, ready: bool = False, restarts: int = 0) -> Manifest:
    """The status of a pod whose container runs."""
    return {
        "phase": "Running",
        "podIP": address,
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True" if ready else "False"},
        ],
        "containerStatuses": [{"name": "agent", "restartCount": restarts, "state": {"running": {}}}],
    }


def _waiting() -> dict[str, Any]:
    waiting = {"reason": "ImagePullBackOff", "message": "there is no such image"}
    return {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "agent", "restartCount": 0, "state": {"waiting": waiting}}],
    }

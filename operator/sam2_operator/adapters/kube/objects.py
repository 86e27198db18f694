"""Kubernetes as the operator sees it: trackers, the objects it makes for them, and the pod."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sam2_operator.adapters.kube.answers import MissingRightError, NotFoundError
from sam2_operator.adapters.kube.api import JSON, MERGE, KubeApi
from sam2_operator.adapters.kube.contention import insist, retold
from sam2_operator.adapters.kube.events import Announcement, EventRecorder
from sam2_operator.adapters.kube.pod import pod_from
from sam2_operator.api import API_VERSION, GROUP, KIND, PLURAL, VERSION
from sam2_operator.api.tracker import FINALIZER
from sam2_operator.core.drift import overwriting
from sam2_operator.core.naming import FIELD_MANAGER, MANAGED_BY_LABEL
from sam2_operator.core.reading import PartialTracker, read, read_partly, reader
from sam2_operator.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sam2_operator.api.status import TrackerStatus
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Event, Manifest, Pod
    from sam2_operator.core.ports import Clock, Kind

_PATHS: Mapping[str, str] = {
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
}
TRACKERS = f"/apis/{GROUP}/{VERSION}"


@dataclass(frozen=True, slots=True)
class Kube:
    """The port `Kubernetes` and the port `SecretReader`, over HTTP."""

    api: KubeApi
    clock: Clock
    namespaces: Sequence[str]
    """Namespaces served; none means all."""
    instance: str

    def tracker(self, namespace: str, name: str) -> Tracker | None:
        """Read a tracker; raise `UnreadableTrackerError`, with what can be read, where that is not all."""
        live = self.api.get(f"{TRACKERS}/namespaces/{namespace}/{PLURAL}/{name}")
        return None if live is None else read(live)

    def is_there(self, tracker: Tracker) -> bool:
        """Whether a tracker read earlier is there still; so is one that can no longer be read."""
        try:
            live = self.api.get(self._path(tracker))
        except MissingRightError:
            return True
        return live is not None and live["metadata"]["uid"] == tracker.metadata.uid

    def trackers(self) -> list[Tracker]:
        """Read all trackers that the operator serves, as far as it can read each.

        A namespace of several that it may not read hides none of the others: it serves nobody there.
        """
        found = []
        for scope in [f"/namespaces/{each}" for each in self.namespaces] or [""]:
            try:
                listed = self.api.pages(f"{TRACKERS}{scope}/{PLURAL}")
            except MissingRightError:
                if len(self.namespaces) < 2:
                    raise
                continue
            found += [read_partly(live) for live in listed]
        return found

    def names(self, scope: str) -> list[tuple[str, str]]:
        """Give namespace and name of all trackers of a namespace, or of all namespaces if it is empty."""
        where = f"/namespaces/{scope}" if scope else ""
        items = self.api.names(f"{TRACKERS}{where}/{PLURAL}")
        return [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in items]

    def write_status(self, tracker: Tracker, status: TrackerStatus) -> Tracker:
        """Replace the status, if the tracker is still the one that was read in all that matters."""

        def write(seen: Tracker) -> Tracker:
            told = retold(status, tracker, seen, self.clock.now()).model_dump(
                by_alias=True, exclude_none=True
            )
            content = {key: value for key, value in told.items() if value != []}
            if isinstance(seen, PartialTracker):
                content = seen.retold(content)
            names = {"name": seen.metadata.name, "namespace": seen.metadata.namespace}
            body = {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "metadata": {**names, **self._identity(seen)},
                "status": content,
            }
            query = {"fieldManager": FIELD_MANAGER}
            try:
                path = f"{self._path(seen)}/status"
                return reader(tracker)(self.api.call("PUT", path, query=query, body=body))
            except NotFoundError as error:
                raise ConflictError(f"The tracker {tracker.key} is gone: {error}") from error

        return insist(tracker, lambda: self._again(tracker), write)

    def set_finalizer(self, tracker: Tracker, *, present: bool) -> Tracker | None:
        """Add or remove the operator's finalizer; None when the tracker is gone with it."""
        others = [each for each in tracker.metadata.finalizers if each != FINALIZER]
        finalizers = [*others, FINALIZER] if present else others

        def write(seen: Tracker) -> Tracker:
            body = {"metadata": {**self._identity(seen), "finalizers": finalizers}}
            query = {"fieldManager": FIELD_MANAGER}
            path = self._path(seen)
            return reader(tracker)(self.api.call("PATCH", path, query=query, body=body, content_type=MERGE))

        try:
            return insist(tracker, lambda: self._again(tracker), write)
        except NotFoundError:
            return None

    def _again(self, tracker: Tracker) -> Tracker | None:
        live = self.api.get(self._path(tracker))
        return None if live is None else reader(tracker)(live)

    def is_terminating(self, namespace: str) -> bool:
        """Whether a namespace is being deleted."""
        return self._recorder.is_terminating(namespace)

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Read an object."""
        return self.api.get(f"{_PATHS[kind].format(namespace)}/{name}")

    def apply(self, wanted: Manifest) -> Manifest:
        """Make an object be as wanted and give it as it is then."""
        metadata = wanted["metadata"]
        return self.api.apply(
            f"{_PATHS[wanted['kind']].format(metadata['namespace'])}/{metadata['name']}", wanted
        )

    def overwrite(self, wanted: Manifest, live: Manifest) -> None:
        """Replace all lists and selectors of this very object by those that are wanted."""
        metadata = live["metadata"]
        identity = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        content = overwriting(
            {key: value for key, value in wanted.items() if key not in {"apiVersion", "kind", "metadata"}},
            live,
        )
        path = f"{_PATHS[wanted['kind']].format(metadata['namespace'])}/{metadata['name']}"
        query = {"fieldManager": FIELD_MANAGER}
        self.api.call("PATCH", path, query=query, body={"metadata": identity, **content}, content_type=MERGE)

    def delete(self, kind: Kind, live: Manifest) -> None:
        """Delete this very object, known by its uid; one that is gone already is fine."""
        metadata = live["metadata"]
        self._delete(f"{_PATHS[kind].format(metadata['namespace'])}/{metadata['name']}", metadata["uid"])

    def pod(self, namespace: str, name: str) -> Pod | None:
        """Read the agent's pod; None when there is none, or somebody else's of that name."""
        live = self.api.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        if live is None or live["metadata"].get("labels", {}).get(MANAGED_BY_LABEL) != FIELD_MANAGER:
            return None
        return pod_from(live)

    def delete_pod(self, namespace: str, pod: Pod, *, force: bool) -> None:
        """Delete this very pod: gracefully, or by force from a node that does not answer."""
        options = {"gracePeriodSeconds": 0} if force else {}
        self._delete(f"/api/v1/namespaces/{namespace}/pods/{pod.name}", pod.uid, **options)

    def events(self, namespace: str, kind: str, name: str) -> tuple[Event, ...]:
        """Give what was told of late about an object, and about others that had its name before."""
        return self._recorder.told(namespace, kind, name)

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Give a Secret's data."""
        live = self.get("Secret", namespace, name)
        return None if live is None else {key: base64.b64decode(value) for key, value in _data(live).items()}

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Give a ConfigMap's data."""
        live = self.get("ConfigMap", namespace, name)
        return None if live is None else {key: value.encode() for key, value in _data(live).items()}

    def event(
        self, tracker: Tracker, *, warning: bool, reason: str, message: str, lasting: bool = False
    ) -> None:
        """Tell about a transition; a lasting one on the Namespace, if that goes away with the tracker."""
        about = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": tracker.metadata.name,
            "namespace": tracker.metadata.namespace,
            "uid": tracker.metadata.uid,
        }
        elsewhere = lasting and not self.namespaces  # one of single namespaces may write nowhere else
        self._recorder.tell(Announcement(about, warning, reason, message), elsewhere=elsewhere)

    @property
    def _recorder(self) -> EventRecorder:
        return EventRecorder(self.api, self.clock, self.instance)

    def _delete(self, path: str, uid: str, **options: Any) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}, **options}
        try:
            self.api.call("DELETE", path, body=body, content_type=JSON)
        except (NotFoundError, ConflictError):
            return  # gone, or another object has its name by now

    def _path(self, tracker: Tracker) -> str:
        return f"{TRACKERS}/namespaces/{tracker.metadata.namespace}/{PLURAL}/{tracker.metadata.name}"

    def _identity(self, tracker: Tracker) -> dict[str, str]:
        """Give what makes the API server refuse a write onto anything but what was read."""
        return {"resourceVersion": tracker.metadata.resource_version, "uid": tracker.metadata.uid}


def _data(live: Manifest) -> dict[str, str]:
    data = live.get("data") or {}
    return {str(key): str(value) for key, value in data.items()}

"""Events: what others told about an object, and what the operator tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.adapters.kube.answers import NotFoundError
from sam2_operator.adapters.kube.pod import event_from
from sam2_operator.core.naming import FIELD_MANAGER
from sam2_operator.core.timestamps import text
from sam2_operator.errors import KubernetesError, NamespaceTerminatingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sam2_operator.adapters.kube.api import KubeApi
    from sam2_operator.core.observed import Event
    from sam2_operator.core.ports import Clock

_MAX_MESSAGE = 1024
"""As many characters as events.k8s.io/v1 takes of a note."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is told, and the object that it is about, as in `involvedObject`."""

    about: Mapping[str, str]
    warning: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class EventRecorder:
    """Reads and writes Events (core/v1) under the operator's name."""

    api: KubeApi
    clock: Clock
    instance: str

    def told(self, namespace: str, kind: str, name: str) -> tuple[Event, ...]:
        """Give what was told of late about an object, and about others that had its name before."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        found = self.api.pages(_path(namespace), fieldSelector=selector)
        return tuple(event_from(each) for each in found)

    def tell(self, news: Announcement, *, elsewhere: bool) -> None:
        """Tell it where the object is; while that namespace ends, on the Namespace itself or not at all."""
        namespace, name = news.about["namespace"], news.about["name"]
        try:
            self._write(namespace, name, news)
        except NamespaceTerminatingError:
            if elsewhere:
                about = {"apiVersion": "v1", "kind": "Namespace", "name": namespace}
                message = f"{news.about['kind']} {name}: {news.message}"
                self._write("default", namespace, Announcement(about, news.warning, news.reason, message))

    def is_terminating(self, namespace: str) -> bool:
        """Whether a namespace is being deleted; found by a trial: the operator may not read Namespaces."""
        about = {"apiVersion": "v1", "kind": "Namespace", "name": namespace}
        try:
            trial = Announcement(about, warning=False, reason="LeftBehind", message="")
            self._write(namespace, namespace, trial, dryRun="All")
        except (NamespaceTerminatingError, NotFoundError):
            return True
        except KubernetesError:
            return False
        return False

    def _write(self, namespace: str, name: str, news: Announcement, **query: str) -> None:
        now = text(self.clock.now())
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}.", "namespace": namespace},
            "involvedObject": news.about,
            "type": "Warning" if news.warning else "Normal",
            "reason": news.reason,
            "message": news.message[:_MAX_MESSAGE],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self.instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self.api.call("POST", _path(namespace), query=query, body=body)


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/events"

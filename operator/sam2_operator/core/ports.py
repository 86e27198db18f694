"""What the operator needs of the world; adapters implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sam2_operator.api.status import TrackerStatus
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.functions import Fields
    from sam2_operator.core.observed import (
        AgentReport,
        CvatAccess,
        Event,
        Function,
        Manifest,
        Pod,
        StateAccess,
        User,
    )

Kind: TypeAlias = Literal[
    "StatefulSet",
    "ServiceAccount",
    "NetworkPolicy",
    "Secret",
    "PersistentVolumeClaim",
    "ConfigMap",
    "Service",
]


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """Give the time of day, in UTC."""

    def monotonic(self) -> float:
        """Give seconds that never go back."""


class Kubernetes(Protocol):
    """The API server. All methods raise `KubernetesError` or one of its kinds."""

    def tracker(self, namespace: str, name: str) -> Tracker | None:
        """Read a tracker."""

    def is_there(self, tracker: Tracker) -> bool:
        """Whether a tracker read earlier is there still; so is one that can no longer be read."""

    def trackers(self) -> list[Tracker]:
        """Read all trackers that the operator serves and can read: that one is missing proves nothing."""

    def write_status(self, tracker: Tracker, status: TrackerStatus) -> Tracker:
        """Replace the status, if the tracker is still the one that was read.

        One that changes the function is written without a claim to be ready: no agent serves that one yet.
        """

    def set_finalizer(self, tracker: Tracker, *, present: bool) -> Tracker | None:
        """Add or remove the operator's finalizer; None when the tracker is gone with it."""

    def is_terminating(self, namespace: str) -> bool:
        """Whether a namespace is being deleted, so that nothing new can be made in it."""

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Read an object."""

    def apply(self, wanted: Manifest) -> Manifest:
        """Make an object be as wanted (server-side apply) and give it as it is then."""

    def overwrite(self, wanted: Manifest, live: Manifest) -> None:
        """Replace all lists of this very object by those that are wanted."""

    def delete(self, kind: Kind, live: Manifest) -> None:
        """Delete this very object, known by its uid; one that is gone already is fine."""

    def pod(self, namespace: str, name: str) -> Pod | None:
        """Read the agent's pod; None when there is none, or somebody else's of that name."""

    def delete_pod(self, namespace: str, pod: Pod, *, force: bool) -> None:
        """Delete this very pod: gracefully, or by force from a node that does not answer."""

    def events(self, namespace: str, kind: Literal["StatefulSet", "Pod"], name: str) -> tuple[Event, ...]:
        """Give what was told of late about an object, and about others that had its name before."""

    def event(
        self, tracker: Tracker, *, warning: bool, reason: str, message: str, lasting: bool = False
    ) -> None:
        """Tell about a transition; a lasting one on the Namespace, if that goes away with the tracker."""


class CvatSession(Protocol):
    """One CVAT as one account. All methods raise the members of `CvatError`."""

    def user(self) -> User:
        """Give the account."""

    def function(self, function_id: int) -> Function:
        """Give a function; `NotFoundError` only when CVAT itself says that there is none."""

    def functions(self) -> tuple[Function, ...]:
        """Give all functions that the account sees in its organization."""

    def recent_functions(self) -> tuple[Function, ...]:
        """Give them as they were some seconds ago at most."""

    def register(self, fields: Fields) -> int:
        """Make a function and give its id. After `CvatUnreachableError` it may or may not have been made."""

    def delete(self, function_id: int) -> None:
        """Delete a function; `NotFoundError` when it is gone already."""


class Cvat(Protocol):
    """Any CVAT."""

    def session(self, access: CvatAccess) -> CvatSession:
        """Give the session of an account; sessions and connections are shared."""

    def close(self) -> None:
        """Close all connections."""


class StateStore(Protocol):
    """Redis. All methods raise `StateStoreError`."""

    def managed(self, uid: str) -> StateAccess | None:
        """Give a tracker's own access to the Redis installed with the operator; None if there is none."""

    def ensure_user(self, uid: str) -> None:
        """Make the tracker's user of that Redis what it should be; a sign of life of that Redis, too."""

    def forget_user(self, uid: str) -> None:
        """Delete the tracker's user of that Redis, if there is one."""

    def ping(self, access: StateAccess) -> None:
        """Ask Redis for a sign of life, as the tracker's agent would."""

    def purge(self, access: StateAccess, prefix: str) -> bool:
        """Delete a tracker's user, then its keys for a bounded time; give whether none is left."""

    def close(self) -> None:
        """Close all connections."""


class Agents(Protocol):
    """The agents' status endpoints."""

    def report(self, pod: Pod) -> AgentReport | None:
        """Give what the agent last said of itself, at most 30 seconds ago; None if the pod has no address."""


class SecretReader(Protocol):
    """The Secrets and ConfigMaps that a tracker names, in its own namespace."""

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Give a Secret's data."""

    def config_map(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """Give a ConfigMap's data."""


class Metrics(Protocol):
    """What is counted."""

    def left_behind(self) -> None:
        """Count a tracker that was let go although something of it stayed in CVAT or Redis."""

    def registered(self) -> None:
        """Count a function made in CVAT."""

"""What the operator saw, as plain data: the input of every decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Manifest: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be done: one word, and a sentence that says what to do."""

    reason: str
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class TokenCredentials:
    """An access token of CVAT."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """A user name and password of CVAT."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CvatAccess:
    """All it takes to talk to one CVAT as one account."""

    url: str
    organization: str
    credentials: TokenCredentials | PasswordCredentials
    ca_pem: str | None = field(default=None, repr=False)
    proxy_url: str | None = None
    """The proxy to use; None for that of the operator's environment, if it has one."""


@dataclass(frozen=True, slots=True)
class StateAccess:
    """All it takes to talk to one Redis; the URL may hold a password."""

    url: str = field(repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    managed_user: str | None = None
    """The ACL user that the operator makes for the tracker; None for a Redis of the user's own."""


@dataclass(frozen=True, slots=True)
class User:
    """An account of CVAT."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function as CVAT shows it."""

    id: int
    name: str
    kind: str
    provider: str
    visibility: str
    shape_types: tuple[str, ...]
    owner_id: int | None


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    """The agent's pod."""

    name: str
    uid: str
    phase: str
    ready: bool
    revision: str
    node: str | None = None
    ip: str | None = None
    image: str | None = None
    deleted_at: str | None = None
    """When its grace period ends, if it is being deleted."""
    restarts: int = 0
    running: bool = False
    started: bool = True
    """Whether the agent has loaded its model since its container last began."""
    unschedulable: str | None = None
    """The scheduler's words."""
    waiting: tuple[str, str] | None = None
    """The kubelet's reason and words why the container does not run."""
    termination: Termination | None = None
    """How the container ended the last time."""
    failure: tuple[str, str] | None = None
    """Reason and words of a pod that failed as a whole, e.g. evicted or not admitted."""


@dataclass(frozen=True, slots=True)
class Event:
    """What one of Kubernetes' parts told about an object."""

    reason: str
    message: str
    about: str
    """The uid of the object: one of the same name may have taken its place."""
    at: str
    """When it was last told, as RFC 3339 to the second."""


@dataclass(frozen=True, slots=True)
class AgentReport:
    """The agent's answer to GET /status, or that there was none."""

    ready: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Workload:
    """The StatefulSet and its pod, as they are now."""

    stateful_set: Manifest | None
    pod: Pod | None
    report: AgentReport | None
    """None while the pod has no address to ask."""
    events: tuple[Event, ...] = ()
    """Told about the StatefulSet and pods of this name; read only while the pod does not serve."""

    @property
    def current(self) -> bool:
        """Whether the pod is of the newest revision, as far as the StatefulSet's controller knows."""
        if self.stateful_set is None or self.pod is None:
            return False
        newest = self.stateful_set.get("status", {}).get("updateRevision")
        return self.is_seen and self.pod.revision == newest

    @property
    def is_seen(self) -> bool:
        """Whether the StatefulSet's controller knows of its newest template and size."""
        if self.stateful_set is None:
            return False
        seen = self.stateful_set.get("status", {}).get("observedGeneration", 0)
        return bool(seen >= self.stateful_set["metadata"]["generation"])


ConditionStatus: TypeAlias = Literal["True", "False", "Unknown"]

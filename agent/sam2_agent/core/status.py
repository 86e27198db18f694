"""How the agent is: facts that its parts note, and the report that is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from sam2_agent.core.lease import Lease
from sam2_agent.core.ports import Clock
from sam2_agent.errors import Unavailable

Phase: TypeAlias = Literal["Starting", "LoadingModel", "WaitingForLease", "Serving", "Draining"]
Peer: TypeAlias = Literal["CVAT", "Redis"]
Part: TypeAlias = Literal["loop", "model"]

PEERS: tuple[Peer, ...] = ("Redis", "CVAT")

FRESH_SECONDS = 30.0
"""Ready means that CVAT and Redis answered within this time."""

_REFUSALS = frozenset({"RedisRefused"})
"""Reasons that stand although the peer answers: a full Redis renews the lease and takes no answer."""

STUCK_SECONDS = 300.0
"""A loop, or a model, that did not move for so long never will."""

_SENTENCES: dict[Phase, str] = {
    "Starting": "The agent starts.",
    "LoadingModel": "The model is being loaded; the first time it may be downloaded.",
    "WaitingForLease": "Another agent holds the lease, or its lease has not expired yet.",
    "Serving": "Tracking requests are answered.",
    "Draining": "The agent was told to stop and finishes the request in hand.",
}


class Report(BaseModel):
    """The agent's `/status`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: str
    phase: Phase
    ready: bool
    reason: str
    message: str
    leaseHeld: bool  # noqa: N815  (the field's name in JSON)
    leaseEpoch: int | None  # noqa: N815
    cvatAnsweredSecondsAgo: float | None  # noqa: N815
    redisAnsweredSecondsAgo: float | None  # noqa: N815
    modelFingerprint: str | None  # noqa: N815


@dataclass(slots=True)
class Status:
    """Facts, noted where they happen; `answered` may be called from any thread."""

    version: str
    clock: Clock
    peers: tuple[Peer, ...] = PEERS
    """Whose answers the agent needs."""
    phase: Phase = "Starting"
    lease: Lease | None = None
    fingerprint: str | None = None
    _answered: dict[Peer, float] = field(default_factory=dict)
    _troubles: dict[Peer, Unavailable] = field(default_factory=dict)
    _refusals: dict[Peer, tuple[Unavailable, float]] = field(default_factory=dict)
    _hindrance: tuple[Unavailable, float] | None = None
    """Why requests cannot be taken, and since when: other calls, such as a stream, may go on."""
    _moved: dict[Part, float] = field(default_factory=dict)
    """When each part that has something to do came round last."""

    def answered(self, peer: Peer) -> None:
        """CVAT or Redis did what it was asked."""
        self._answered[peer] = self.clock.now()
        self._troubles.pop(peer, None)

    def trouble(self, peer: Peer, trouble: Unavailable) -> None:
        """CVAT or Redis did not do what it was asked."""
        self._troubles[peer] = trouble
        if trouble.reason in _REFUSALS:
            self._refusals[peer] = trouble, self.clock.now()

    def served(self) -> None:
        """A request was answered, so nothing that this takes is refused."""
        self._refusals.clear()

    def hindered(self, trouble: Unavailable) -> None:
        """No request could be taken, or the one in hand not be answered."""
        since = self._hindrance[1] if self._hindrance else self.clock.now()
        self._hindrance = trouble, since

    def unhindered(self) -> None:
        """The queue was asked, or there is no right to ask it."""
        self._hindrance = None

    def trouble_with(self, peer: Peer) -> Unavailable | None:
        """What is wrong with CVAT or Redis now."""
        return self._troubles.get(peer)

    def refused_by(self, peer: Peer) -> Unavailable | None:
        """What a peer refused lately, though it may do other things that it is asked."""
        refusal, noted_at = self._refusals.get(peer, (None, 0.0))
        return refusal if self.clock.now() - noted_at <= FRESH_SECONDS else None

    def moved(self, part: Part = "loop") -> None:
        """The agent's loop, or another part that has something to do, came round."""
        self._moved[part] = self.clock.now()

    def rests(self, part: Part) -> None:
        """A part has nothing to do."""
        self._moved.pop(part, None)

    def alive(self) -> bool:
        """Whether all moves that has something to do."""
        return all(self.clock.now() - moved < STUCK_SECONDS for moved in tuple(self._moved.values()))

    def started(self) -> bool:
        """Whether the model is loaded."""
        return self.fingerprint is not None

    def lease_held(self) -> bool:
        """Whether this agent may act."""
        return self.lease is not None and self.lease.held(self.clock.now())

    def report(self) -> Report:
        """Sum up; the reason is the one nearest to the cause."""
        fresh = all(self._fresh(peer) for peer in self.peers)
        held = self.lease_held()
        refused = any(self.refused_by(peer) for peer in self.peers)
        ready = self.phase == "Serving" and held and fresh and not refused and not self._lastingly_hindered()
        reason, message = ("Serving", _SENTENCES["Serving"]) if ready else self._why_not()
        return Report(
            version=self.version,
            phase=self.phase,
            ready=ready,
            reason=reason,
            message=message,
            leaseHeld=held,
            leaseEpoch=self.lease.epoch if self.lease else None,
            cvatAnsweredSecondsAgo=self._age("CVAT"),
            redisAnsweredSecondsAgo=self._age("Redis"),
            modelFingerprint=self.fingerprint,
        )

    def _lastingly_hindered(self) -> bool:
        return self._hindrance is not None and self.clock.now() - self._hindrance[1] > FRESH_SECONDS

    def _fresh(self, peer: Peer) -> bool:
        age = self._age(peer)
        return age is not None and age <= FRESH_SECONDS

    def _age(self, peer: Peer) -> float | None:
        answered = self._answered.get(peer)
        return None if answered is None else round(self.clock.now() - answered, 3)

    def _why_not(self) -> tuple[str, str]:
        """The reason for not being ready."""
        if self.phase in ("Starting", "LoadingModel", "Draining"):
            return self.phase, _SENTENCES[self.phase]
        for peer in self.peers:
            if trouble := self.trouble_with(peer) or self.refused_by(peer):
                return trouble.reason, str(trouble)
        if self._hindrance is not None:
            trouble, _ = self._hindrance
            return trouble.reason, str(trouble)
        if not self.lease_held():
            return "WaitingForLease", _SENTENCES["WaitingForLease"]
        silent = next((peer for peer in reversed(self.peers) if not self._fresh(peer)), self.peers[0])
        return f"{silent}Unreachable", f"{silent} has not answered for a while; the agent keeps asking."

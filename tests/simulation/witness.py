"""What must be true at every moment, whatever goes wrong: who looks, and complains.

Everything here is judged from outside the agent: from what Redis holds, what CVAT is told and what annotators
get.  `complaints` are sentences; the first ends the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sam2_agent.core.records import Answer, load_answer
from sam2_agent.core.status import Status
from tests.cvat_standin.queue import AnnotationRequest
from tests.simulation.models import Provenance
from tests.simulation.processes import Process
from tests.simulation.redis import SimRedis
from tests.simulation.reference import further, step_name

PREFIX = b"s2t:{simulated}:"
WRITTEN_ONCE = (PREFIX + b"answer:", PREFIX + b"init:")
STORE_AWAY = "The tracking agent cannot reach its store"
MEMORY = PREFIX + b"memory:"
LEASE, REQUESTS = PREFIX + b"lease", PREFIX + b"requests"


@dataclass(slots=True)
class Seen:
    """An agent's process, its own view of its lease, and the name under which it takes leases."""

    status: Status
    holder: bytes


@dataclass(slots=True)
class Witness:
    """Sees every write to Redis, everything that CVAT is told, and every sentence that an annotator gets."""

    now: Callable[[], float]
    redis: SimRedis
    fingerprint: str
    jitter: bool
    read_by: Provenance = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    agents: dict[Process, Seen] = field(default_factory=dict)
    differing: int = 0
    published: dict[bytes, bytes] = field(default_factory=dict)
    ever_published: dict[bytes, bytes] = field(default_factory=dict)
    damaged: set[bytes] = field(default_factory=set)
    """Keys whose values Redis damaged: they may be written again."""
    lost_at: list[float] = field(default_factory=list)
    """When Redis lost data, records or the lease."""
    lease_lost_at: float = -1e9
    died_at: list[float] = field(default_factory=list)
    """When agents ended or froze past their lease, told to stop or not: whoever leaves a request counts."""
    troubled_at: list[float] = field(default_factory=list)
    """When anything went wrong that may delay an answer."""
    calm_since: float | None = None
    _told: dict[str, tuple[str, float]] = field(default_factory=dict)
    _shapes: dict[int, tuple[str, float]] = field(default_factory=dict)
    _asked_at: dict[int, float] = field(default_factory=dict)
    recorded: set[str] = field(default_factory=set)
    handed: dict[int, list[str]] = field(default_factory=dict)
    _chains: dict[str, list[bytes]] = field(default_factory=dict)
    _nonces: dict[str, tuple[int, int]] = field(default_factory=dict)

    def complain(self, sentence: str) -> None:
        """Something was seen that must never be."""
        self.complaints.append(f"at {self.now():.4f} s: {sentence}")

    # Redis.

    def wrote(self, process: Process, command: tuple[Any, ...]) -> None:
        """A command that may have written was run."""
        keys = [key for part in command[3:] if (key := _bytes(part)).startswith(PREFIX)]
        for key in keys:
            if key.startswith(WRITTEN_ONCE):
                self._look_at(process, key)
        if REQUESTS in keys:
            self.recorded.update(self._recorded_ids())
        if LEASE in keys:
            left = self.redis.execute("PTTL", LEASE)
            if not (isinstance(left, int) and left <= 1000 * LEASE_SECONDS):
                self.complain(f"{process.name} has Redis keep the lease for {left!r} ms")

    def _look_at(self, process: Process, key: bytes) -> None:
        stands = self.redis.execute("GET", key)
        before = self.published.get(key)
        if stands is None or stands == before:
            return
        assert isinstance(stands, bytes)
        if before is not None and key not in self.damaged:
            self.complain(f"{process.name} wrote {key.decode()} again, with other bytes")
        self.published[key] = stands
        self.ever_published[key] = stands
        lease = self.redis.execute("GET", LEASE)
        holder = self.agents[process].holder
        if not isinstance(lease, bytes) or lease[32:] != holder:
            self.complain(f"{process.name} published {key.decode()} without the lease")
        if key.startswith(WRITTEN_ONCE[0]):
            self._trace_origin(process, key, stands)

    def _trace_origin(self, process: Process, key: bytes, answer: bytes) -> None:
        """Look whether a published answer was computed from published answers."""
        name = key.removeprefix(WRITTEN_ONCE[0])
        made_from = self.read_by.get(self._answer(key, answer).pointer.tobytes(), ())
        chain = next((chain for chain in self._chains.values() if name in chain), None)
        for index, pointer in made_from:
            if chain is None:
                self.complain(f"{process.name} published a step that nobody asked for")
                return
            earlier = WRITTEN_ONCE[0] + chain[index]
            first = self.ever_published.get(earlier)
            if first is None or self._answer(earlier, first).pointer.tobytes() != pointer:
                self.complain(
                    f"{process.name} computed {key.decode()} from a pointer of step {index} that is not the "
                    "published one"
                )

    def _answer(self, key: bytes, record: bytes) -> Answer:
        return load_answer(record, key.removeprefix(WRITTEN_ONCE[0]).decode(), self.fingerprint)

    def _shape(self, key: bytes, record: bytes) -> object:
        shape = self._answer(key, record).shape
        return None if shape is None else shape.model_dump()

    def redis_lost(self, *, data: bool) -> None:
        """Redis lost something by itself."""
        self.lost_at.append(self.now())
        self.lease_lost_at = self.now()
        if data:
            self.published = {
                key: value
                for key in self.redis.keys
                if key.startswith(WRITTEN_ONCE) and isinstance(value := self.redis.execute("GET", key), bytes)
            }
            self.recorded &= self._recorded_ids()

    def _recorded_ids(self) -> set[str]:
        flat = self.redis.execute("HGETALL", REQUESTS)
        assert isinstance(flat, list)
        return {ar_id.decode() for ar_id in flat[::2] if isinstance(ar_id, bytes)}

    # CVAT.

    def asked(self, request: AnnotationRequest) -> None:
        """An annotator asked for something."""
        self._asked_at[request.key] = self.now()
        for state in request.params.get("states", ()):
            longer = further(state, request.params["frame"])
            self._chains[longer] = [*self._chains[state], step_name(longer, self.fingerprint).encode()]

    def handed_out(self, request: AnnotationRequest) -> None:
        """An agent was given a request."""
        self.handed.setdefault(request.key, []).append(request.id)

    def stranded(self, request: AnnotationRequest) -> bool:
        """Whether a request that is not handed out again was never recorded, or its record was lost."""
        return request.status == "started" and request.id not in self.recorded

    def calls(self, process: Process) -> None:
        """An agent calls somebody: does it think that it holds the lease while it does not?"""
        seen = self.agents[process]
        if not seen.status.lease_held() or self.now() - self.lease_lost_at <= LEASE_SECONDS:
            return
        lease = self.redis.execute("GET", LEASE)
        if not (isinstance(lease, bytes) and lease[32:] == seen.holder):
            self.complain(f"{process.name} thinks that it holds the lease, but Redis holds {lease!r}")

    def completes(self, process: Process, ar_id: str) -> None:
        """An agent sends a completion."""
        if not self.agents[process].status.lease_held():
            self.complain(f"{process.name} completes {ar_id} without holding the lease by its own clock")
        if ar_id not in self.recorded and not self.lost_at:
            self.complain(f"{process.name} completes {ar_id}, which was never recorded")

    def fails(self, process: Process, ar_id: str, sentence: str) -> None:
        """An agent tells that a request failed: only where Redis is away it may do so without the lease."""
        if not (self.agents[process].status.lease_held() or sentence.startswith(STORE_AWAY)):
            self.complain(f"{process.name} fails {ar_id} without holding the lease by its own clock")

    def told(self, who: str, ar_id: str, request: AnnotationRequest, answer: Mapping[str, Any]) -> None:
        """A completion has arrived, taken or not."""
        text = json.dumps(answer, sort_keys=True)
        states = answer["states"]
        if "shapes" in answer:
            wanted = [further(state, request.params["frame"]) for state in request.params["states"]]
            if states != wanted:
                self.complain(f"{who} told other states than the request's, one frame on")
            self._only_one(who, ar_id, self._shapes, request.key, text)
        elif len(states) != len(request.params["shapes"]):
            self.complain(f"{who} told {len(states)} states for {len(request.params['shapes'])} shapes")
        self._only_one(who, ar_id, self._told, ar_id, text)
        for place, state in enumerate(states):
            if "shapes" not in answer:
                self._require_nonce_of_its_own(who, state, (request.key, place))
            name = step_name(state, self.fingerprint).encode()
            self._chains.setdefault(state, [name])
            shape = answer["shapes"][place] if "shapes" in answer else None
            self._require_published(who, ar_id, WRITTEN_ONCE[0] + name, shape)

    def _require_nonce_of_its_own(self, who: str, state: str, track: tuple[int, int]) -> None:
        """Who could guess a nonce could name another's steps."""
        nonce = json.loads(state[5:])["nonce"]
        if self._nonces.setdefault(nonce, track) != track:
            self.complain(f"{who} gave two tracks the same nonce")

    def _only_one(
        self, who: str, ar_id: str, told: dict[Any, tuple[str, float]], key: object, text: str
    ) -> None:
        before, moment = told.setdefault(key, (text, self.now()))
        if before == text:
            return
        if '"shapes"' not in text and any(lost >= moment - 60 for lost in self.lost_at):
            return  # the nonces of an init that Redis lost
        self.differing += 1
        self.complain(f"{who} told another answer to {ar_id} than was told before")

    def _require_published(self, who: str, ar_id: str, key: bytes, shape: object) -> None:
        stands = self.redis.execute("GET", key)
        if key in self.damaged or (stands is None and self.lost_at):
            stands = self.ever_published.get(key)
        if not isinstance(stands, bytes):
            self.complain(f"{who} told {ar_id} an answer that is not published: {key.decode()}")
        elif self._shape(key, stands) != shape:
            self.complain(f"{who} told {ar_id} a shape that is not the published one: {key.decode()}")

    def failed(self, request: AnnotationRequest, sentence: str) -> None:
        """CVAT took the news that a request failed: was there a reason?"""
        asked = self._asked_at[request.key]
        waited = self.now() - asked
        if sentence.startswith("The tracking agent stopped"):
            fine = sum(moment >= asked for moment in self.died_at) >= 5
        elif sentence.startswith((STORE_AWAY, "CVAT does not serve")):
            fine = waited > 120 and any(moment >= asked - 120 for moment in self.troubled_at)
        elif sentence.startswith("The agent is restoring"):
            fine = waited > 45 and any(moment >= asked - 120 for moment in self.troubled_at)
        else:
            fine = False
        if not fine:
            self.complain(f"{request.id} failed after {waited:.1f} s without reason: {sentence}")


LEASE_SECONDS = 15.0


def _bytes(part: object) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()

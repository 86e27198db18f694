"""What an agent's calls say of its work: nothing left to do, and what it told CVAT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

CATEGORIES = frozenset({"interactive", "batch"})


@dataclass(slots=True)
class Ledger:
    """Kept by the wire, from calls that were answered."""

    completions: list[tuple[str, bytes]] = field(default_factory=list)
    """Request id and answer of every completion that was sent, whether CVAT took it or not."""
    failures: list[str] = field(default_factory=list)
    """Bodies of what was reported as failed."""
    refusals: list[str] = field(default_factory=list)
    """Status lines other than success that CVAT answered."""
    leads: bool = False
    """Whether Redis said last that the agent holds the lease."""
    _empty: set[str] = field(default_factory=set)
    _in_hand: set[bytes] = field(default_factory=set)
    _published: set[bytes] = field(default_factory=set)
    _remembered: set[bytes] = field(default_factory=set)
    _watching: bool = False

    @property
    def idle(self) -> bool:
        """Whether the agent watches an empty queue and has no request in hand."""
        return self._watching and self._empty == CATEGORIES and not self._in_hand

    @property
    def at_rest(self) -> bool:
        """Whether it has all memories written, too; one that was hurried may have dropped some."""
        return self.idle and self._published <= self._remembered

    def asked(self, path: str, body: bytes) -> None:
        """Note an HTTP request on its way to CVAT."""
        request_id, _, action = path.rpartition("/")
        if action == "complete":
            answer = {name: value for name, value in json.loads(body).items() if name != "agent_id"}
            self.completions.append(
                (request_id.rpartition("/")[2], json.dumps(answer, sort_keys=True).encode())
            )
        elif action == "fail":
            self.failures.append(body.decode())

    def answered(self, path: str, body: bytes, status_line: str, answer: bytes) -> None:
        """Note what CVAT answered."""
        action = path.rpartition("/")[2]
        if not status_line.split(" ")[1].startswith("2"):
            self.refusals.append(f"{path}: {status_line}")
        elif action == "watch":
            self._watching = True
            self._empty.clear()
        elif action == "acquire":
            category = json.loads(body)["request_category"]
            if json.loads(answer)["ar_assignment"] is None:
                self._empty.add(category)
            else:
                self._empty.discard(category)

    def did(self, kind: str, words: Sequence[bytes], reply: bytes) -> None:
        """Note what Redis did; `kind` is the wire's, `words` the command."""
        if reply.startswith(b"-"):
            return
        if kind == "EVALSHA lease+epoch":
            self.leads = reply.startswith(b"*2\r\n:1\r\n")
        elif kind == "EVALSHA lease+requests":
            self.leads = not reply.startswith(b":-1")
        elif kind == "EVALSHA requests":
            self._in_hand.add(words[4])
        elif kind == "HDEL requests":
            self._in_hand.discard(words[2])
        elif kind == "EVALSHA lease+answer":
            self._published |= {_name(key) for key in words[4 : 3 + int(words[2])]}
        elif kind == "SET memory":
            self._remembered.add(_name(words[1]))


def _name(key: bytes) -> bytes:
    return key.rpartition(b":")[2]

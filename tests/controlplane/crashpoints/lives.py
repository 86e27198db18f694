"""A tracker's whole life, from its creation to its end, while operators are killed at calls drawn by a seed.

The operators are whole processes (supervised.py): what wakes them, and when they look again, is theirs. In
each part of the life a user changes something; then all must come to be as it should, in real time.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.controlplane.crashpoints.gate import CutOffError, When
from tests.controlplane.crashpoints.scene import SHAPES
from tests.controlplane.crashpoints.supervised import HURRIED, SHORT_SETTLE_SECONDS, Supervised, supervised
from tests.controlplane.crashpoints.verdict import Expectation, Flaw, forget_users
from tests.controlplane.harness import make_function

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.controlplane.crashpoints.bench import Bench
    from tests.controlplane.crashpoints.scene import Scene

PARTS: tuple[tuple[str, dict[str, Any] | None], ...] = (
    ("create", {}),
    ("new image", {"agent": {"image": "sam2-tracker-agent:next"}}),
    ("new function", {"function": {"name": "bikes"}}),
    ("delete", None),
)
_NAMED = {"create", "new function"}
"""Parts in which a function of a new name is made: ann has one of that name already."""
_WITHIN_SECONDS = 90.0
_MOST_KILLS = 4
_MOST_CALLS_BETWEEN = 40


@dataclass
class Life:
    """One tracker and the operators that serve it."""

    on: Bench
    scene: Scene
    operators: list[Supervised]
    draw: random.Random
    strangers: set[int] = field(default_factory=set)
    kills: int = 0
    _left: int = 0

    def live(self) -> dict[str, list[Flaw]]:
        """Give what is wrong at the end of each part."""
        flaws: dict[str, list[Flaw]] = {}
        for part, change in PARTS:
            name = (change or {}).get("function", {}).get("name", "cars")
            if part in _NAMED:
                self.strangers.add(self._make_function("ann", name))
            self._left = self.draw.randint(1, _MOST_KILLS)
            self._arm()
            if change is None:
                self.scene.delete()
            else:
                self.scene.apply(**change)
            flaws[part] = self._wait(Expectation(name, present=change is not None, strangers=self.strangers))
            if flaws[part]:
                break
        return flaws

    def _wait(self, expectation: Expectation) -> list[Flaw]:
        until = time.monotonic() + _WITHIN_SECONDS
        while True:
            self.scene.play_kubelet()
            with self.on.redis.client() as client:
                flaws = expectation.flaws(self.scene, client)
            if not flaws or time.monotonic() > until:
                self.on.gate.disarm()
                return flaws

    def _arm(self) -> None:
        number = self.draw.randrange(_MOST_CALLS_BETWEEN)
        when: When = self.draw.choice(("before", "after"))
        self.on.gate.arm(number, when, self._kill)

    def _kill(self) -> None:
        name = "bikes" if self.draw.random() < 0.5 else "cars"
        self.strangers.add(self._make_function("bob", name))
        self.draw.choice(self.operators).kill()
        self.kills += 1
        self._left -= 1
        if self._left > 0:
            self._arm()
        raise CutOffError

    def _make_function(self, username: str, name: str) -> int:
        return make_function(self.on.cvat, name, username=username, visibility="public", shapes=SHAPES)


def play(on: Bench, folder: Path, seed: int, *, operators: int = 1) -> tuple[dict[str, list[Flaw]], int]:
    """Play a life; give what is wrong at the end of each part, and how often operators were killed."""
    scene = on.scene()
    scene.make()
    try:
        with supervised(
            on.places,
            scene.namespace,
            folder,
            HURRIED,
            count=operators,
            settle_seconds=SHORT_SETTLE_SECONDS,
        ) as running:
            life = Life(on, scene, running, random.Random(seed))
            return life.live(), life.kills
    finally:
        on.gate.disarm()
        with on.redis.client() as client:
            forget_users(client)
        scene.end()

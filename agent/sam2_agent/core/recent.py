"""What the agent keeps in its own memory, so that going on with a track reads nothing from Redis."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.tracking import Features, Memory

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRU(Generic[K, V]):
    """A mapping that forgets what was used longest ago."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value and count it as used."""
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep the value, and forget the one used longest ago where there is no room."""
        self._items[key] = value
        self._items.move_to_end(key)
        while len(self._items) > self._capacity:
            self._items.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget one."""
        self._items.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()


@dataclass(frozen=True, slots=True, eq=False)
class Pointer:
    """What later steps read of an answer: float32 of shape (hidden width,), and the score logit."""

    vector: NDArray[np.float32]
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """What the model gave for a step: the record of its answer, not published yet, and its memory."""

    record: bytes
    memory: Memory


@dataclass(frozen=True, slots=True)
class Recent:
    """Bounded caches by step name, and of encoded images by what names them (`progress.P`).

    Only what was published comes in, so what is here is what stands in Redis; but for `foreseen`, which
    nobody asked for yet.  The capacities suit 128 objects, 17 pointers and 9 memories each; a memory of a
    usual model takes half a megabyte.  `answers` and `links` are records as they were read or written, should
    Redis lose them.
    """

    pointers: LRU[str, Pointer] = field(default_factory=lambda: LRU(2176))
    memories: LRU[str, Memory] = field(default_factory=lambda: LRU(1152))
    features: LRU[Hashable, Features] = field(default_factory=lambda: LRU(8))
    foreseen: LRU[str, Computed] = field(default_factory=lambda: LRU(128))
    answers: LRU[str, bytes] = field(default_factory=lambda: LRU(1024))
    links: LRU[str, bytes] = field(default_factory=lambda: LRU(1024))

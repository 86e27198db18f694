"""From a serverless call to the body of its answer; `chain` says how a track is named there.

Nothing is recorded of a call, for whoever calls waits, and calls again if nobody answers: the same call names
the same steps.  Only a call that begins a track begins another one; the first is never gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sam2_agent.core import chain
from sam2_agent.core.calls import Call, Continue, Start
from sam2_agent.core.chain import Chain, Link
from sam2_agent.core.footage import Shown
from sam2_agent.core.ports import Compute, Events, Key, Records
from sam2_agent.core.recent import LRU
from sam2_agent.core.records import Answer, load_answer
from sam2_agent.core.shapes import ShapeType, read_prompt
from sam2_agent.core.tracks import Tracks
from sam2_agent.errors import DamagedRecord, RequestRefused

LINKS_KEPT = 1024


class Serverless:
    """Answers calls; `decode` reads an encoded image, `shape_types` are those that the function declares."""

    def __init__(
        self,
        *,
        tracks: Tracks,
        shown: Shown,
        store: Records,
        compute: Compute,
        decode: Callable[[bytes], NDArray[np.uint8]],
        events: Events,
        rng: Random,
        fingerprint: str,
        shape_types: frozenset[ShapeType],
    ) -> None:
        self._tracks = tracks
        self._shown = shown
        self._store = store
        self._compute = compute
        self._decode = decode
        self._events = events
        self._rng = rng
        self._fingerprint = fingerprint
        self._shape_types = shape_types
        self._links: LRU[str, Link] = LRU(LINKS_KEPT)

    async def answer(self, call: Call, token: str) -> dict[str, JsonValue]:
        """Return what CVAT is told, published already; `token` is that of the lease.

        Raises `RequestRefused` where no agent could answer, `Unavailable` or `LeaseLost` where this one
        cannot now.
        """
        image = await self._compute(chain.digest, call.image)
        with self._shown.showing(image, lambda: self._decode(call.image)):
            ways = await self._ways([each.after for each in call.objects if isinstance(each, Continue)])
            ways |= await self._seen({name: way for name, way in ways.items() if way.seen and way.index})
            chains = [
                self._go_on(each, ways[each.after], image)
                if isinstance(each, Continue)
                else await self._begin(each, image)
                for each in call.objects
            ]
            answers = await self._tracks.reach(chains, token)
        for each in chains:
            self._links.put(each.newest, each.way)
        return {
            "shapes": [
                _drawn(asked, each, answer)
                for asked, each, answer in zip(call.objects, chains, answers, strict=True)
            ],
            "states": [chain.write_state(each.newest) for each in chains],
        }

    async def _begin(self, start: Start, image: str) -> Chain:
        if start.type not in self._shape_types:
            offered = ", ".join(sorted(self._shape_types))
            raise RequestRefused(f"This function tracks shapes of type {offered}, not {start.type}.")
        size = (await self._shown.encoded(image)).size
        prompt = await self._compute(read_prompt, start.type, start.points, start.rotation, size)
        return chain.begin(
            fingerprint=self._fingerprint,
            nonce=self._rng.getrandbits(128),
            image=image,
            size=size,
            shape=start.type,
            prompt=prompt,
            seen=start.points if start.bare else None,
        )

    def _go_on(self, each: Continue, way: Link, image: str) -> Chain:
        return chain.go_on(fingerprint=self._fingerprint, after=each.after, way=way, image=image)

    async def _ways(self, names: Sequence[str]) -> dict[str, Link]:
        """Find the links of these steps; raises `RequestRefused` where one is lost."""
        known = {name: link for name in names if (link := self._links.get(name))}
        unknown = [name for name in dict.fromkeys(names) if name not in known]
        records = await self._store.read([Key("link", name) for name in unknown])
        for name, data in zip(unknown, records, strict=True):
            if data is None:
                raise chain.lost()
            try:
                known[name] = Link.load(data, name)
            except DamagedRecord:
                self._events.damaged("link")
                raise chain.lost() from None
        return known

    async def _seen(self, ways: Mapping[str, Link]) -> dict[str, Link]:
        """Return these links with what their own steps saw; raises `RequestRefused` where that is lost."""
        records = await self._store.read([Key("answer", name) for name in ways])
        seen: dict[str, Link] = {}
        for (name, way), data in zip(ways.items(), records, strict=True):
            try:
                shape = load_answer(data or b"", name, self._fingerprint).shape
            except DamagedRecord:
                raise chain.lost() from None
            seen[name] = way.model_copy(update={"seen": shape.points}) if shape else way
        return seen


def _drawn(asked: Start | Continue, each: Chain, answer: Answer) -> JsonValue:
    """Return a shape as the caller knows shapes: where a track begins the one that was sent."""
    shape = asked if isinstance(asked, Start) else answer.shape
    if each.way.seen:
        return list(shape.points if shape else each.way.seen)
    return {"type": shape.type, "points": list(shape.points)} if shape else None

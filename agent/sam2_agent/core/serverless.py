"""From a serverless call to the body of its answer; `chain` says how a track is named there.

Nothing is recorded of a call, for whoever calls waits, and calls again if nobody answers: the same call names
the same steps.  Only a call that begins a track begins another one; the first is never gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sam2_agent.core import chain
from sam2_agent.core.calls import Call, Continue, Start
from sam2_agent.core.chain import Chain, Link
from sam2_agent.core.ports import Compute, Events, Key, Records
from sam2_agent.core.recent import Recent
from sam2_agent.core.records import Answer, load_answer
from sam2_agent.core.shapes import read_prompt
from sam2_agent.core.shown import Shown
from sam2_agent.core.tracking import ShapeType
from sam2_agent.core.tracks import Tracks
from sam2_agent.errors import DamagedRecord, RequestRefused, TrackLost

AT_ONCE = 32
"""So many objects are computed together; a mask to begin with takes a byte for each pixel."""

PLACES_TOLD = 5


class Serverless:
    """Answers calls; `decode` reads an encoded image, `shape_types` are those that the function declares."""

    def __init__(
        self,
        *,
        tracks: Tracks[str],
        shown: Shown,
        store: Records,
        recent: Recent,
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
        self._recent = recent
        self._compute = compute
        self._decode = decode
        self._events = events
        self._rng = rng
        self._fingerprint = fingerprint
        self._shape_types = shape_types

    async def answer(self, call: Call, token: str) -> dict[str, JsonValue]:
        """Return what CVAT is told, published already; `token` is that of the lease.

        Raises `RequestRefused` where no agent could answer, `Unavailable` or `LeaseLost` where this one
        cannot now.
        """
        try:
            return await self._answer(call, token)
        except TrackLost:
            self._events.lost()
            raise

    async def _answer(self, call: Call, token: str) -> dict[str, JsonValue]:
        places = _Places(call.objects)
        image = await self._compute(chain.digest, call.image)
        shapes: list[JsonValue] = []
        states: list[JsonValue] = []
        with self._shown.showing(image, lambda: self._decode(call.image)):
            ways = await self._ways(places)
            ways |= await self._seen(
                {name: way for name, way in ways.items() if way.seen and way.index}, places
            )
            for begin in range(0, len(call.objects), AT_ONCE):
                group = call.objects[begin : begin + AT_ONCE]
                chains = [
                    self._go_on(each, ways[each.after], image, places)
                    if isinstance(each, Continue)
                    else await self._begin(each, image)
                    for each in group
                ]
                answers = await self._tracks.reach(chains, token)
                shapes += [_drawn(*each) for each in zip(group, chains, answers, strict=True)]
                states += [chain.write_state(each.newest) for each in chains]
                for each in chains:
                    self._recent.links.put(each.newest, each.way.dump(each.newest))
        return {"shapes": shapes, "states": states}

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

    def _go_on(self, each: Continue, way: Link, image: str, places: _Places) -> Chain:
        return chain.go_on(
            fingerprint=self._fingerprint,
            after=each.after,
            way=way,
            image=image,
            where=places.tell({each.after}),
        )

    async def _ways(self, places: _Places) -> dict[str, Link]:
        """Find the links of these steps; raises `TrackLost` where some are lost."""
        records = {name: link for name in places.names if (link := self._recent.links.get(name))}
        unknown = [name for name in places.names if name not in records]
        stored = await self._store.read([Key("link", name) for name in unknown])
        records |= {name: data for name, data in zip(unknown, stored, strict=True) if data is not None}
        ways: dict[str, Link] = {}
        for name, data in records.items():
            try:
                ways[name] = Link.load(data, name)
            except DamagedRecord:
                self._events.damaged("link")
            else:
                self._recent.links.put(name, data)
        if lost := set(places.names) - ways.keys():
            raise chain.lost(places.tell(lost))
        return ways

    async def _seen(self, ways: Mapping[str, Link], places: _Places) -> dict[str, Link]:
        """Return these links with what their own steps saw; raises `TrackLost` where that is lost."""
        records = await self._store.read([Key("answer", name) for name in ways])
        seen: dict[str, Link] = {}
        for (name, way), data in zip(ways.items(), records, strict=True):
            try:
                shape = load_answer(data or b"", name, self._fingerprint).shape
            except DamagedRecord:
                raise chain.lost(places.tell({name})) from None
            seen[name] = way.model_copy(update={"seen": shape.points}) if shape else way
        return seen


class _Places:
    """Where in a call its tracks are."""

    def __init__(self, objects: Sequence[Start | Continue]) -> None:
        self._after = [each.after if isinstance(each, Continue) else None for each in objects]

    @property
    def names(self) -> list[str]:
        """The steps after which tracks go on, each once."""
        return list(dict.fromkeys(name for name in self._after if name))

    def tell(self, names: Container[str]) -> str:
        """Say which objects go on after these steps; nothing where there is only one."""
        found = [place for place, name in enumerate(self._after, 1) if name and name in names]
        if len(self._after) == 1:
            return ""
        told = ", ".join(str(place) for place in found[:PLACES_TOLD])
        more = " and others" if len(found) > PLACES_TOLD else ""
        return f", object{'s' if len(found) > 1 else ''} {told}{more} of {len(self._after)}"


def _drawn(asked: Start | Continue, each: Chain, answer: Answer) -> JsonValue:
    """Return a shape as the caller knows shapes: where a track begins the one that was sent."""
    shape = asked if isinstance(asked, Start) else answer.shape
    if each.way.seen:
        return list(shape.points if shape else each.way.seen)
    return {"type": shape.type, "points": list(shape.points)} if shape else None

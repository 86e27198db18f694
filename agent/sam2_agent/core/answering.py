"""From a request to the body of its answer.

Both kinds of request end in `Tracks.reach`: an init wants the steps of the prompts, a track the steps one
frame on. Whatever is random about an init, the nonces of its states, is published under the request's id
before anything is computed; so an init that is handed out twice, or that another agent began, has the same
states.

Requests are untrusted and may be large. Whatever takes long to read is read `apart`, so that meanwhile the
lease is renewed, health is answered, and the model runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeVar, cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from sam2_agent.core import state
from sam2_agent.core.footage import Footage
from sam2_agent.core.foresight import Foresight
from sam2_agent.core.ports import Compute, Events, Frames, Key, Publication, Store
from sam2_agent.core.records import seal, unseal
from sam2_agent.core.requests import InitTracking, Shape, Track, parse, weight
from sam2_agent.core.shapes import read_prompt
from sam2_agent.core.state import WINDOW, State, Steps
from sam2_agent.core.tracking import ShapeType
from sam2_agent.core.tracks import Tracks
from sam2_agent.errors import DamagedRecord, RequestRefused

T = TypeVar("T")

LIGHT = 2**16
"""A request with no more characters and numbers is read in a few milliseconds."""

_STATES: TypeAdapter[list[str]] = TypeAdapter(list[str])


class Answering:
    """Answers requests; `shape_types` are those that the function declares."""

    def __init__(
        self,
        *,
        tracks: Tracks[tuple[int, int]],
        footage: Footage,
        foresight: Foresight,
        frames: Frames,
        store: Store,
        apart: Compute,
        events: Events,
        rng: Random,
        fingerprint: str,
        shape_types: frozenset[ShapeType],
    ) -> None:
        self._tracks = tracks
        self._footage = footage
        self._foresight = foresight
        self._frames = frames
        self._store = store
        self._apart = apart
        self._events = events
        self._rng = rng
        self._fingerprint = fingerprint
        self._shape_types = shape_types

    async def answer(
        self,
        ar_id: str,
        parameters: Mapping[str, JsonValue],
        token: str,
        computed: Callable[[], None] = lambda: None,
    ) -> dict[str, JsonValue]:
        """Return what CVAT is told, published already; `token` is that of the lease.

        `computed` is called when the model is no longer needed, which may be earlier.

        Raises `RequestRefused` where no agent could answer, `Unavailable` or `LeaseLost` where this one
        cannot now.
        """
        light = weight(parameters) <= LIGHT
        request = await self._read(lambda: parse(parameters), light=light)
        self._footage.fetch_soon(request.task, request.frame)
        if isinstance(request, InitTracking):
            return await self._init(ar_id, request, token, computed)
        return await self._track(request, token, computed, light=light)

    async def watch(self) -> None:
        """Raise `DeviceLost` when working ahead finds that the agent cannot go on."""
        await self._foresight.watch()

    def close(self) -> None:
        """Work ahead no more."""
        self._foresight.close()

    async def _read(self, function: Callable[[], T], *, light: bool) -> T:
        """Call a function: here where that is quick, else apart from the event loop."""
        return function() if light else await self._apart(function)

    async def _init(
        self, ar_id: str, request: InitTracking, token: str, computed: Callable[[], None]
    ) -> dict[str, JsonValue]:
        # By what is asked for as well: were ids used again, a request would get the tracks of another.
        name = f"{ar_id}:{await self._apart(request.digest)}"
        key = Key("init", name)
        [stored] = await self._store.read([key])
        begun = await self._apart(self._stored_states, name, stored)
        if begun is None:
            fresh = await self._begin(request)
            data = seal("init", name, json.dumps([each.canonical() for each in fresh]).encode())
            while begun is None:
                [stored] = await self._store.publish(token, [Publication(key, data, stored or b"")])
                begun = fresh if stored == data else await self._apart(self._stored_states, name, stored)
        await self._tracks.reach(await self._apart(self._steps, begun), token, computed)
        self._foresight.expect(begun)
        return {"states": [each.canonical() for each in begun]}

    async def _begin(self, request: InitTracking) -> list[State]:
        """Make the states of new tracks."""
        for shape in request.shapes:
            if shape.type not in self._shape_types:
                offered = ", ".join(sorted(self._shape_types))
                raise RequestRefused(f"This function tracks shapes of type {offered}, not {shape.type}.")
        count = await self._frames.count(request.task, request.frame)
        features = await self._footage.encoded((request.task, request.frame))
        nonces = [self._rng.getrandbits(128) for _ in request.shapes]
        return await self._apart(
            lambda: [
                _state(request, shape, features.size, count, nonce)
                for shape, nonce in zip(request.shapes, nonces, strict=True)
            ]
        )

    async def _track(
        self, request: Track, token: str, computed: Callable[[], None], *, light: bool
    ) -> dict[str, JsonValue]:
        states = await self._read(lambda: [state.parse(text) for text in request.states], light=light)
        if any(each.task != request.task for each in states):
            raise RequestRefused(
                "A tracking state belongs to another task; start tracking again in this one."
            )
        self._foresight.forget(states, request.frame)
        count = await self._frames.count(request.task, request.frame)
        if any(each.highest_frame >= count for each in states):
            raise RequestRefused(
                "A tracking state names frames that the task does not have; start tracking again."
            )
        extended = [each.extended(request.frame) for each in states]
        steps = await self._read(lambda: self._steps(extended), light=light)
        answers = await self._tracks.reach(steps, token, computed)
        self._foresight.expect(extended)
        return {
            "states": [each.canonical() for each in extended],
            "shapes": [answer.shape.model_dump() if answer.shape else None for answer in answers],
        }

    def _steps(self, states: Sequence[State]) -> list[Steps]:
        return [Steps(each, self._fingerprint) for each in states]

    def _stored_states(self, name: str, stored: bytes | None) -> list[State] | None:
        """Read the states that an init began with; damaged ones count as missing."""
        if stored is None:
            return None
        try:
            return [state.parse(text) for text in _STATES.validate_json(unseal("init", name, stored))]
        except (DamagedRecord, ValidationError, RequestRefused):
            self._events.damaged("init")
            return None


def _state(request: InitTracking, shape: Shape, size: tuple[int, int], count: int, nonce: int) -> State:
    return state.begin(
        task=request.task,
        frame=request.frame,
        size=size,
        shape=cast("ShapeType", shape.type),
        prompt=read_prompt(shape.type, shape.points, shape.rotation, size),
        window=min(WINDOW, count),
        nonce=nonce,
    )

"""From a request to the body of its answer.

Both kinds of request end in `Tracks.reach`: an init wants the steps of the prompts, a track the steps one
frame on. Whatever is random about an init, the nonces of its states, is published under the request's id
before anything is computed; so an init that is handed out twice, or that another agent began, has the same
states.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import cast

from pydantic import JsonValue, TypeAdapter, ValidationError

from sam2_agent.core import state
from sam2_agent.core.footage import Footage
from sam2_agent.core.ports import Events, Frames, Key, Publication, Store
from sam2_agent.core.requests import InitTracking, Shape, Track, parse
from sam2_agent.core.shapes import ShapeType, read_prompt
from sam2_agent.core.state import WINDOW, State, Steps
from sam2_agent.core.tracks import Tracks
from sam2_agent.errors import RequestRefused

_STATES: TypeAdapter[list[str]] = TypeAdapter(list[str])


class Answering:
    """Answers requests; `shape_types` are those that the function declares."""

    def __init__(
        self,
        *,
        tracks: Tracks,
        footage: Footage,
        frames: Frames,
        store: Store,
        events: Events,
        rng: Random,
        fingerprint: str,
        shape_types: frozenset[ShapeType],
    ) -> None:
        self._tracks = tracks
        self._footage = footage
        self._frames = frames
        self._store = store
        self._events = events
        self._rng = rng
        self._fingerprint = fingerprint
        self._shape_types = shape_types

    async def answer(
        self, ar_id: str, parameters: Mapping[str, JsonValue], token: str
    ) -> dict[str, JsonValue]:
        """Return what CVAT is told, published already; `token` is that of the lease.

        Raises `RequestRefused` where no agent could answer, `Unavailable` or `LeaseLost` where this one
        cannot now.
        """
        request = parse(parameters)
        self._footage.fetch_soon(request.task, request.frame)
        try:
            if isinstance(request, InitTracking):
                return await self._init(ar_id, request, token)
            return await self._track(request, token)
        finally:
            self._footage.forget()

    async def _init(self, ar_id: str, request: InitTracking, token: str) -> dict[str, JsonValue]:
        key = Key("init", ar_id)
        [stored] = await self._store.read([key])
        states = self._stored_states(stored)
        if states is None:
            begun = [each.canonical() for each in await self._begin(request)]
            publication = Publication(key, json.dumps(begun).encode(), stored or b"")
            [stored] = await self._store.publish(token, [publication])
            states = self._stored_states(stored) or begun
        await self._tracks.reach([Steps(state.parse(text), self._fingerprint) for text in states], token)
        return {"states": list(states)}

    async def _begin(self, request: InitTracking) -> list[State]:
        """Make the states of new tracks."""
        for shape in request.shapes:
            if shape.type not in self._shape_types:
                offered = ", ".join(sorted(self._shape_types))
                raise RequestRefused(f"This function tracks shapes of type {offered}, not {shape.type}.")
        count = await self._frames.count(request.task, request.frame)
        features = await self._footage.encoded(request.task, request.frame)
        return [self._state(request, shape, features.size, count) for shape in request.shapes]

    def _state(self, request: InitTracking, shape: Shape, size: tuple[int, int], count: int) -> State:
        begun = state.begin(
            task=request.task,
            frame=request.frame,
            size=size,
            shape=cast("ShapeType", shape.type),
            prompt=read_prompt(shape.type, shape.points, shape.rotation, size),
            window=min(WINDOW, count),
            nonce=self._rng.getrandbits(128),
        )
        if len(begun.canonical()) > state.MAX_CHARACTERS // 2:
            raise RequestRefused(f"A {shape.type} has too many details to be tracked; draw it more simply.")
        return begun

    async def _track(self, request: Track, token: str) -> dict[str, JsonValue]:
        states = [state.parse(text) for text in request.states]
        if any(each.task != request.task for each in states):
            raise RequestRefused(
                "A tracking state belongs to another task; start tracking again in this one."
            )
        count = await self._frames.count(request.task, request.frame)
        if any(each.highest_frame >= count for each in states):
            raise RequestRefused(
                "A tracking state names frames that the task does not have; start tracking again."
            )
        extended = [each.extended(request.frame) for each in states]
        answers = await self._tracks.reach([Steps(each, self._fingerprint) for each in extended], token)
        return {
            "states": [each.canonical() for each in extended],
            "shapes": [answer.shape.model_dump() if answer.shape else None for answer in answers],
        }

    def _stored_states(self, stored: bytes | None) -> Sequence[str] | None:
        if stored is None:
            return None
        try:
            states = _STATES.validate_json(stored)
            for text in states:
                state.parse(text)
        except (ValidationError, RequestRefused):
            self._events.damaged("init")
            return None
        return states

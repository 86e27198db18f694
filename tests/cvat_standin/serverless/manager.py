"""What CVAT's server does between the page and a function: look, pad, sign."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from tests.cvat_standin.page import RunError
from tests.cvat_standin.serverless.nuclio import Function, Functions

STATE_SECONDS = 8 * 3600.0
"""So long the server takes back what it signed."""

LONGEST_STATE = 2**22


class LambdaManager:
    """Calls trackers; `now` is in seconds."""

    def __init__(self, functions: Functions, *, now: Callable[[], float] = time.time) -> None:
        self._functions = functions
        self._now = now
        self._key = secrets.token_bytes(32)

    def trackers(self) -> list[Function]:
        """The trackers that the page offers."""
        return [each for each in self._functions.list() if each.kind == "tracker"]

    def call(
        self,
        function_id: str,
        image: bytes,
        *,
        shapes: Sequence[Mapping[str, Any]] = (),
        states: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Begin to track these shapes, or go on with these signed states, on an encoded image.

        Raises `RunError` with what the page shows.
        """
        function = self._functions.get(function_id)
        drawn = [shape if function.shape_types else shape["points"] for shape in shapes]
        payload: dict[str, JsonValue] = {
            "image": base64.b64encode(image).decode(),
            "shapes": [*drawn, *[None] * len(states)],  # type: ignore[list-item]
            "states": [self._unsigned(state) for state in states],
        }
        told = self._functions.invoke(function_id, payload)
        count = len(shapes) + len(states)
        if [len(told[part]) for part in ("shapes", "states")] != [count, count]:
            raise RunError(f"The function did not answer for each of {count} objects", 500)
        return {
            "shapes": [self._shape(shape, function) for shape in told["shapes"]],
            "states": [self._signed(state) for state in told["states"]],
        }

    def _shape(self, shape: Any, function: Function) -> dict[str, Any] | None:
        """A shape as the page gets it; one that declares no types must answer bare lists, and no null."""
        if function.shape_types:
            return None if shape is None else {"type": shape["type"], "points": shape["points"]}
        if not isinstance(shape, list):
            raise RunError("Cannot read properties of null (reading 'reduce')", None)
        return {"type": "rectangle", "points": shape}

    def _signed(self, state: JsonValue) -> str:
        text = base64.urlsafe_b64encode(json.dumps(state).encode()).decode()
        if len(text) > LONGEST_STATE:
            raise RunError("A state is too long", 500)
        stamped = f"{text}:{self._now():.0f}"
        return f"{stamped}:{self._signature(stamped)}"

    def _unsigned(self, signed: str) -> JsonValue:
        stamped, _, signature = signed.rpartition(":")
        text, _, stamp = stamped.rpartition(":")
        if not hmac.compare_digest(signature, self._signature(stamped)):
            raise RunError("Invalid tracking state", 400)
        if self._now() - float(stamp) > STATE_SECONDS:
            raise RunError("Tracking state is too old", 400)
        state: JsonValue = json.loads(base64.urlsafe_b64decode(text))
        return state

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

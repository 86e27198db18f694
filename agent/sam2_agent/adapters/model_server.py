"""The other end of `model_tracker`: answers with a model, and keeps what it gave numbers to."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from sam2_agent.adapters.model_calls import (
    Begin,
    Call,
    Dump,
    Encode,
    Failed,
    Found,
    Load,
    Number,
    Row,
    Step,
    unpack,
)
from sam2_agent.adapters.model_channel import Channel
from sam2_agent.core.tracking import Context, Output, Remembered, Tracker
from sam2_agent.errors import AgentError


class ModelServer:
    """Answers calls; those on different lines may come at once where the tracker allows it."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._numbers = itertools.count()
        self._held: dict[Number, Any] = {}

    @property
    def held(self) -> int:
        """How many encoded frames and memories are kept."""
        return len(self._held)

    def serve(self, line: Channel) -> None:
        """Answer what comes over a line until its other end is closed."""
        with suppress(EOFError, OSError):
            while True:
                # Nothing of a call is kept until the next one, which may need the device's memory.
                line.send(self._reply(line.receive()))

    def _reply(self, call: Call) -> Any:
        try:
            return self._answer(call)
        except AgentError as error:
            told = traceback.format_exc()
            return Failed(error.with_traceback(None), told)
        except Exception as error:  # noqa: BLE001  (whose class the other end may not know)
            return Failed(RuntimeError(f"{type(error).__name__}: {error}"), traceback.format_exc())

    def _answer(self, call: Call) -> Any:
        for number in call.gone:
            del self._held[number]
        match call.what:
            case Encode(image):
                return self._keep(self._tracker.encode(image))
            case Begin(frame, prompts):
                outputs = self._tracker.prompt(self._held[frame], [unpack(prompt) for prompt in prompts])
                return self._found(outputs, [None] * len(outputs))
            case Step(frame, rows):
                contexts = [self._context(row) for row in rows]
                outputs = self._tracker.step(self._held[frame], contexts)
                return self._found(outputs, [output.points for output in outputs])
            case Load(data):
                return self._keep(self._tracker.load_memory(data.tobytes()))
            case Dump(memory):
                return np.frombuffer(self._tracker.dump_memory(self._held[memory]), np.uint8)

    def _keep(self, held: object) -> Number:
        number = next(self._numbers)
        self._held[number] = held
        return number

    def _context(self, row: Row) -> Context:
        prompt, *recent = (
            Remembered(index, pointer, score, None if memory is None else self._held[memory])
            for index, pointer, score, memory in zip(
                row.indices, row.pointers, row.scores, row.memories, strict=True
            )
        )
        return Context(row.index, row.window, prompt, tuple(recent), row.shape)

    def _found(self, outputs: Sequence[Output], points: Sequence[list[float] | None]) -> list[Found]:
        """Keep the memories of outputs, whose points are known by now: nothing fails in between."""
        found = []
        for output, told in zip(outputs, points, strict=True):
            remembered = output.remembered
            found.append(Found(told, remembered.pointer, remembered.score, self._keep(remembered.memory)))
        return found

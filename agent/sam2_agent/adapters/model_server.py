"""The other end of `model_tracker`: answers with a model, and keeps what it gave numbers to."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from sam2_agent.adapters.model_calls import Begin, Call, Dump, Encode, Failed, Found, Load, Number, Row, Step
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

    def serve(self, line: Connection[Any, Any]) -> None:
        """Answer what comes over a line until its other end is closed."""
        while True:
            try:
                call = line.recv()
            except (EOFError, OSError):
                return
            try:
                answer = self._answer(call)
            except AgentError as error:
                answer = Failed(error, traceback.format_exc())
            except Exception as error:  # noqa: BLE001  (whose class the other end may not know)
                bug = RuntimeError(f"{type(error).__name__}: {error}")
                answer = Failed(bug, traceback.format_exc())
            try:
                line.send(answer)
            except OSError:
                return

    def _answer(self, call: Call) -> Any:
        for number in call.gone:
            del self._held[number]
        match call.what:
            case Encode(image):
                return self._keep(self._tracker.encode(image))
            case Begin(frame, prompts):
                return [*self._found(self._tracker.prompt(self._held[frame], prompts))]
            case Step(frame, rows):
                contexts = [self._context(row) for row in rows]
                return [*self._found(self._tracker.step(self._held[frame], contexts))]
            case Load(data):
                return self._keep(self._tracker.load_memory(data))
            case Dump(memory):
                return self._tracker.dump_memory(self._held[memory])

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

    def _found(self, outputs: Sequence[Output]) -> Iterator[Found]:
        for output in outputs:
            remembered = output.remembered
            if remembered.memory is None:
                raise ValueError("a tracker's output has no memory")
            number = self._keep(remembered.memory)
            yield Found(output.points, remembered.pointer, remembered.score, number)

"""Writing down when the agent calls what, from outside: its own classes' methods are wrapped, nothing else.

`POINTS` are all the names of the agent that this knows; where one moves, only they change.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """A function to watch: where it is found, and under which name its calls are written down."""

    module: str
    path: str
    """Its name in the module, or `Class.method`."""
    name: str

    def resolve(self) -> tuple[Any, str, Callable[..., Any]]:
        """What holds the function, the name in it, and the function.  Raises `LookupError`."""
        holder: Any = importlib.import_module(self.module)
        *outer, attribute = self.path.split(".")
        try:
            for part in outer:
                holder = getattr(holder, part)
            found: Callable[..., Any] = getattr(holder, attribute)
        except AttributeError:
            raise LookupError(
                f"The agent has no {self.module}.{self.path}; "
                "say in benchmarks/speed/tracing.py where it is now."
            ) from None
        return holder, attribute, found


_ADAPTERS = "sam2_agent.adapters."

POINTS = (
    Point(_ADAPTERS + "cvat_queue", "CVATQueue.acquire", "acquire"),
    Point(_ADAPTERS + "cvat_queue", "CVATQueue.complete", "complete"),
    Point(_ADAPTERS + "cvat_frames", "CVATFrames.image", "fetch"),
    Point(_ADAPTERS + "cvat_frames", "decode", "decode"),
    Point(_ADAPTERS + "redis_store", "RedisStore.record", "record"),
    Point(_ADAPTERS + "redis_store", "RedisStore.read", "read"),
    Point(_ADAPTERS + "redis_store", "RedisStore.publish", "publish"),
    Point(_ADAPTERS + "redis_store", "RedisStore.remember", "remember"),
    Point(_ADAPTERS + "model_tracker", "ModelTracker.encode", "encode"),
    Point(_ADAPTERS + "model_tracker", "ModelTracker.prompt", "prompt"),
    Point(_ADAPTERS + "model_tracker", "ModelTracker.step", "step"),
    Point(_ADAPTERS + "model_tracker", "ModelTracker.dump_memory", "dump memory"),
    Point(_ADAPTERS + "model_tracker", "ModelTracker.resize", "resize"),
    Point("sam2_agent.core.stepping", "dump_answer", "seal"),
)
"""In the agent's process."""

MODEL_POINTS = (Point(_ADAPTERS + "sam2_tracker", "write_points", "run lengths"),)
"""In the model's process."""

FORWARD = (
    Point("sam2.sam2_video_predictor", "SAM2VideoPredictor.forward_image", "forward"),
    Point("sam2.sam2_video_predictor", "SAM2VideoPredictor._run_single_frame_inference", "forward"),
)
"""The network alone.  On a GPU such a call is over before its work is: the device is waited for."""


class Tracer:
    """Wraps functions and writes their calls to a file, after every one that is called `at`."""

    def __init__(self, file: Path, at: str) -> None:
        self._file = file
        self._at = at
        self._lines: list[str] = []

    def watch(self, point: Point, synchronize: Callable[[], object] | None = None) -> None:
        """Write down the calls of a function; `synchronize` is called before each moment is noted."""
        holder, attribute, function = point.resolve()
        wrap = self._asynchronous if inspect.iscoroutinefunction(function) else self._synchronous
        setattr(holder, attribute, functools.wraps(function)(wrap(function, point.name, synchronize)))

    def _asynchronous(
        self, function: Callable[..., Any], name: str, _synchronize: Callable[[], object] | None
    ) -> Callable[..., Any]:
        async def traced(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            result = await function(*args, **kwargs)
            self._note(name, begin, time.perf_counter(), _request(name, args, kwargs, result))
            return result

        return traced

    def _synchronous(
        self, function: Callable[..., Any], name: str, synchronize: Callable[[], object] | None
    ) -> Callable[..., Any]:
        def traced(*args: Any, **kwargs: Any) -> Any:
            if synchronize:
                synchronize()
            begin = time.perf_counter()
            result = function(*args, **kwargs)
            if synchronize:
                synchronize()
            self._note(name, begin, time.perf_counter(), None)
            return result

        return traced

    def _note(self, name: str, begin: float, end: float, request: str | None) -> None:
        span: Mapping[str, Any] = {"name": name, "begin": begin, "end": end, "request": request}
        self._lines.append(json.dumps(span))
        if name == self._at:
            lines, self._lines = self._lines, []
            with self._file.open("a") as file:
                file.write("\n".join(lines) + "\n")


def _request(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> str | None:
    """The id of the request that a call was about, where it is its argument or its result."""
    if name == "acquire":
        return result.ar_id if result is not None else None
    if name in ("complete", "record"):
        found = kwargs.get("ar_id", args[1] if len(args) > 1 else None)
        return str(found)
    return None

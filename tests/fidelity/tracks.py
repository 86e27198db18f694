"""Two ways to track an object through a clip: SAM2's own, and ours with a new agent for every frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_agent.adapters.sam2_tracker import Sam2Output, Sam2Tracker
from sam2_agent.core.tracking import (
    MEMORY_FRAMES,
    POINTER_FRAMES,
    BoxPrompt,
    Context,
    MaskPrompt,
    Prompt,
    Remembered,
)
from tests.fidelity.clips import Clip

Logits = NDArray[np.float32]


def mask_prompt(clip: Clip, obj: int, frame: int = 0) -> MaskPrompt:
    """The object's true mask."""
    return MaskPrompt(clip.mask(frame, obj))


def box_prompt(clip: Clip, obj: int, frame: int = 0) -> BoxPrompt:
    """The tight box around the object's true mask."""
    rows, columns = np.nonzero(clip.mask(frame, obj))
    return BoxPrompt((float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0))


def propagate(predictor: Any, clip: Clip, prompts: Sequence[Prompt], start: int = 0) -> list[list[Logits]]:
    """Logits at video resolution, object by object, from frame `start` on, by `SAM2VideoPredictor` alone.

    It tracks the objects of one inference state one by one, each from its own records.
    """
    state = predictor.init_state(str(clip.folder))
    for obj, prompt in enumerate(prompts):
        if isinstance(prompt, MaskPrompt):
            predictor.add_new_mask(state, start, obj, prompt.mask)
        else:
            predictor.add_new_points_or_box(state, start, obj, box=np.array(prompt.box, np.float32))
    frames = [logits[:, 0].cpu().numpy() for _, _, logits in predictor.propagate_in_video(state)]
    return [[frame[obj] for frame in frames] for obj in range(len(prompts))]


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it lies in a store: bytes and numbers, nothing alive."""

    index: int
    pointer: bytes
    score: float
    memory: bytes


def track(
    new_tracker: Callable[[], Sam2Tracker],
    frames: NDArray[np.uint8],
    prompts: Sequence[Prompt],
    window: int | None = None,
) -> list[list[Logits]]:
    """Logits of each object on each frame; a new tracker, which has only stored bytes, tracks every frame."""
    stored: list[list[Stored]] = [[] for _ in prompts]
    logits: list[list[Logits]] = [[] for _ in prompts]
    for index, image in enumerate(frames):
        tracker = new_tracker()
        features = tracker.encode(tracker.resize(image))
        if index == 0:
            outputs = tracker.prompt(features, prompts)
        else:
            contexts = [
                context(tracker, records, index, window or min(16, len(frames))) for records in stored
            ]
            outputs = tracker.step(features, contexts)
        for place, output in enumerate(outputs):
            stored[place].append(store(tracker, output))
            logits[place].append(tracker.logits(output))
            assert np.array_equal(output.mask, logits[place][-1] > 0)
    return logits


def store(tracker: Sam2Tracker, output: Sam2Output) -> Stored:
    """Write an output's record down."""
    record = output.remembered
    assert record.memory is not None
    return Stored(record.index, record.pointer.tobytes(), record.score, tracker.dump_memory(record.memory))


def context(tracker: Sam2Tracker, stored: Sequence[Stored], index: int, window: int) -> Context:
    """Read back what the step of frame `index` needs, and no more."""

    def read(record: Stored) -> Remembered:
        needed = record.index == 0 or record.index >= index - MEMORY_FRAMES
        memory = tracker.load_memory(record.memory) if needed else None
        return Remembered(record.index, np.frombuffer(record.pointer, np.float32), record.score, memory)

    recent = stored[max(1, index - POINTER_FRAMES) : index]
    return Context(index, window, read(stored[0]), tuple(map(read, recent)), "mask")


def same_bits(ours: Sequence[Logits], theirs: Sequence[Logits]) -> bool:
    """Whether two tracks have exactly the same logits on the same number of frames."""
    return [frame.tobytes() for frame in ours] == [frame.tobytes() for frame in theirs]


def one_thread() -> None:
    """One thread: spinning threads of several processes on few cores cost a hundredfold."""
    torch.set_num_threads(1)

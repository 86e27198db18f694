"""The undisturbed answer of every step, computed straight from the definition.

A track is a prompt on a frame and the frames tracked since.  Its answers are SAM2's on exactly that clip: one
step after the other, each from the records of the steps before it.  Nothing is stored, planned or restored,
and nothing of the agent's core is used but the words in which a tracker is spoken to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from sam2_agent.core.tracking import BoxPrompt, Context, MaskPrompt, Prompt, Remembered
from tests.simulation.tasks import picture
from tests.toy_tracker import ToyOutput, ToyTracker

ShapeJson: TypeAlias = dict[str, Any] | None

_TOY = ToyTracker()


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an annotator draws: a rectangle x1, y1, x2, y2 in whole pixels, as a box or as a mask."""

    type: str
    box: tuple[int, int, int, int]

    def to_json(self) -> dict[str, Any]:
        """As CVAT sends it."""
        x1, y1, x2, y2 = self.box
        if self.type == "rectangle":
            return {"type": "rectangle", "points": [float(number) for number in self.box]}
        pixels = (x2 - x1) * (y2 - y1)
        return {"type": "mask", "points": [0.0, float(pixels), *map(float, (x1, y1, x2 - 1, y2 - 1))]}

    def prompt(self, height: int, width: int) -> Prompt:
        """As a model takes it."""
        x1, y1, x2, y2 = self.box
        if self.type == "rectangle":
            return BoxPrompt((float(x1), float(y1), float(x2), float(y2)))
        mask = np.zeros((height, width), dtype=np.bool_)
        mask[y1:y2, x1:x2] = True
        return MaskPrompt(mask)


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """One object's track so far: where it began, the length of its video, and the output of every step."""

    task: int
    frames_in_task: int
    drawn: Drawn
    outputs: tuple[ToyOutput, ...]

    @staticmethod
    def begin(task: int, frames_in_task: int, frame: int, drawn: Drawn) -> Walk:
        """The track on its first frame."""
        features = _encoded(task, frame)
        width, height = features.size
        [output] = _TOY.prompt(features, [drawn.prompt(height, width)])
        return Walk(task, frames_in_task, drawn, (output,))

    def on(self, frame: int) -> Walk:
        """The track one frame on."""
        index = len(self.outputs)
        first, earlier = self.outputs[0], self.outputs[1:]
        recent = [
            Remembered(each.index, each.pointer, each.score, each.memory if each.index >= index - 6 else None)
            for each in (output.remembered for output in earlier[-15:])
        ]
        window = min(16, self.frames_in_task)
        [output] = _TOY.step(
            _encoded(self.task, frame), [Context(index, window, first.remembered, tuple(recent), "mask")]
        )
        return Walk(self.task, self.frames_in_task, self.drawn, (*self.outputs, output))

    @property
    def shape(self) -> ShapeJson:
        """The newest answer."""
        mask = self.outputs[-1].mask
        rows, columns = np.nonzero(mask)
        if not rows.size:
            return None
        y1, x1, y2, x2 = int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())
        if self.drawn.type == "rectangle":
            return {"type": "rectangle", "points": [float(x1), float(y1), float(x2 + 1), float(y2 + 1)]}
        runs = [0]
        color = False
        for pixel in mask[y1 : y2 + 1, x1 : x2 + 1].ravel().tolist():
            if pixel != color:
                runs.append(0)
                color = pixel
            runs[-1] += 1
        return {"type": "mask", "points": [float(number) for number in (*runs, x1, y1, x2, y2)]}


@cache
def _encoded(task: int, frame: int) -> Any:
    return _TOY.encode(_TOY.resize(picture(task, frame)))


def further(state: str, frame: int) -> str:
    """The state string after one more frame, as docs tell the format."""
    prefix, text = state[:5], state[5:]
    fields = json.loads(text)
    runs = fields["tracked"]
    if runs and runs[-1][1] + 1 == frame:
        runs[-1][1] = frame
    else:
        runs.append([frame, frame])
    return prefix + json.dumps(fields, separators=(",", ":"))


def step_name(state: str, fingerprint: str) -> str:
    """The name of a state's newest step."""
    return hashlib.sha256(f"{fingerprint}\n{state}".encode()).hexdigest()

"""What the demo has to prove, as numbers and as what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.demo.clips import Clip
from tests.demo.session import Session
from tests.demo.shapes import Bitmap, iou

IOU_TOLERANCE = 0.01
"""How far an object's mean IoU may be from what SAM2's own predictor reaches on the same clip."""


@dataclass(frozen=True)
class Verdict:
    """A session with kills, beside one without and beside SAM2's own predictor.

    `curves` and `own` hold IoU against the truth by frame, float of shape (targets, frames); `agents` holds
    the ids of those who served.
    """

    session: Session
    undisturbed: Session
    curves: NDArray[np.float64]
    own: NDArray[np.float64]
    functions: int
    agents: frozenset[str]

    @property
    def differing(self) -> int:
        """How many answers hold another shape than in the session without kills."""
        pairs = zip(self.session.shapes(), self.undisturbed.shapes(), strict=True)
        return sum(ours != theirs for ours, theirs in pairs)

    def complaints(self) -> list[str]:
        """What is not as it has to be; empty when all is well."""
        said = []
        if self.differing:
            said.append(
                f"{self.differing} of {len(self.session.answers)} answers differ from the run without kills"
            )
        names = [target.name for target in self.session.clip.targets]
        for name, ours, own in zip(names, self.curves.mean(axis=1), self.own.mean(axis=1), strict=True):
            if abs(ours - own) > IOU_TOLERANCE:
                said.append(f"IoU of the {name} is {ours:.3f}, SAM2's own predictor reaches {own:.3f}")
        if self.functions != 1:
            said.append(f"CVAT has {self.functions} functions instead of 1")
        if len(self.agents) != 1:
            said.append(f"CVAT saw {len(self.agents)} agents instead of 1: {', '.join(sorted(self.agents))}")
        return said


def iou_curves(clip: Clip, masks: Bitmap) -> NDArray[np.float64]:
    """IoU against the clip's truth: float of shape (targets, frames)."""
    assert clip.truth is not None, "a clip whose truth is known"
    return np.array(
        [
            [iou(truth, found) for truth, found in zip(*row, strict=True)]
            for row in zip(clip.truth, masks, strict=True)
        ]
    )

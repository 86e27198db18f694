"""How hard a synthetic scene may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """What a scene may hold.

    Lengths are in units of the frame's shorter side; pairs are the bounds of a uniform draw.

    Attributes:
        targets: how many objects are tracked.
        distractors: how many others are like them.
        occluders: how many large things pass in front of everything.
        cross: chance that something passes right over a target.
        cover: radius of what passes over, in radii of the target.
        leave: chance that a target leaves the frame and comes back.
        radius: mean radius of a thing.
        speed: most that a center moves in one frame.
        spin: most that a shape turns in one frame, in radians.
        grow: relative swing of the size.
        bend: relative swing of the outline.
        roam: how far a path reaches; 0.5 is the frame's edge.
        pan: most that the ground moves in one frame.
        contrast: least distance of a target's color from the others'.
        twin: chance that a distractor has a target's color.
        light: swing of the brightness.
        noise: standard deviation of the pixel noise.
    """

    targets: tuple[int, int]
    distractors: tuple[int, int]
    occluders: tuple[int, int]
    cross: float
    cover: float
    leave: float
    radius: tuple[float, float]
    speed: float
    spin: float
    grow: float
    bend: float
    roam: float
    pan: float
    contrast: float
    twin: float
    light: float
    noise: float


DIFFICULTIES = {
    "easy": Difficulty(
        targets=(1, 2), distractors=(0, 1), occluders=(0, 0), cross=0.0, cover=0.0, leave=0.0,
        radius=(0.17, 0.26), speed=0.012, spin=0.02, grow=0.08, bend=0.03, roam=0.26, pan=0.002,
        contrast=0.55, twin=0.0, light=0.04, noise=0.008,
    ),
    "medium": Difficulty(
        targets=(2, 2), distractors=(1, 1), occluders=(0, 0), cross=0.35, cover=0.8, leave=0.1,
        radius=(0.15, 0.25), speed=0.016, spin=0.03, grow=0.12, bend=0.05, roam=0.32, pan=0.004,
        contrast=0.48, twin=0.25, light=0.07, noise=0.012,
    ),
    "hard": Difficulty(
        targets=(2, 3), distractors=(1, 2), occluders=(0, 1), cross=0.4, cover=0.9, leave=0.15,
        radius=(0.14, 0.24), speed=0.020, spin=0.04, grow=0.15, bend=0.07, roam=0.38, pan=0.006,
        contrast=0.40, twin=0.5, light=0.10, noise=0.015,
    ),
    "extreme": Difficulty(
        targets=(3, 3), distractors=(1, 2), occluders=(0, 1), cross=1.0, cover=1.7, leave=0.6,
        radius=(0.12, 0.21), speed=0.030, spin=0.06, grow=0.22, bend=0.12, roam=0.75, pan=0.012,
        contrast=0.28, twin=0.8, light=0.18, noise=0.030,
    ),
}  # fmt: skip

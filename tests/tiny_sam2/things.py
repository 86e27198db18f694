"""Moving shapes: where each is, how it is turned and bent, and which pixels it covers on a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tests.tiny_sam2.difficulty import Difficulty
from tests.tiny_sam2.surfaces import OUTLINE_ANGLES, TURN, Floats, outline, texture


def wave(rng: Generator, t: Floats, period: float, amount: float) -> Floats:
    """A smooth random function of time, a sum of two sines; |value| <= amount."""
    value = np.zeros(len(t), np.float32)
    for k in (1, 2):
        value += np.sin(TURN * k * t / period + rng.uniform(0, TURN)).astype(np.float32) / k
    return amount * value / 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """What a thing paints inside `rows` and `columns`: opacity (h, w) and colors (h, w, 3), both in 0..1."""

    rows: slice
    columns: slice
    opacity: NDArray[np.floating]
    colors: Floats


class Thing:
    """One moving shape: outline, texture, and its path over all frames.

    Positions are in units of the frame's shorter side; `t` holds the frames' numbers, `extent` the frame's
    width and height.
    """

    def __init__(
        self,
        rng: Generator,
        level: Difficulty,
        t: Floats,
        extent: tuple[float, float],
        color: Floats,
        *,
        radius: float | None = None,
        roam: float | None = None,
    ) -> None:
        # The order of draws is part of what a seed means.
        self.outline = outline(rng)
        self.texture = texture(rng, color)
        self.color = color
        self.radius = rng.uniform(*level.radius) if radius is None else radius
        roam = level.roam if roam is None else roam
        speed = level.speed * rng.uniform(0.4, 1.0)
        reach_x = roam * extent[0] * rng.uniform(0.6, 1.0)
        reach_y = roam * extent[1] * rng.uniform(0.6, 1.0)
        period_x = TURN * reach_x * (4 / 3) / speed
        period_y = TURN * reach_y * (4 / 3) / speed
        home = rng.uniform(-0.5, 0.5, 2) * (np.array(extent) - 2 * min(roam, 0.4))
        self.x = extent[0] / 2 + home[0] + wave(rng, t, period_x, reach_x)
        self.y = extent[1] / 2 + home[1] + wave(rng, t, period_y, reach_y)
        self.turn = rng.uniform(0, TURN) + rng.uniform(-1, 1) * level.spin * t
        self.size = self.radius * (1 + wave(rng, t, rng.uniform(40, 90), level.grow))
        self.bends = [
            (k, wave(rng, t, rng.uniform(25, 60), level.bend / k), rng.uniform(0, TURN)) for k in (2, 3)
        ]
        self.zoom = rng.uniform(0.25, 0.45) * len(self.texture)

    def leave(self, rng: Generator, t: Floats, extent: tuple[float, float]) -> None:
        """Slide out over the nearest edge around a random time, stay out a little, and return."""
        middle = rng.uniform(0.4, 0.8) * len(t)
        at = int(middle)
        gaps = [self.x[at], extent[0] - self.x[at], self.y[at], extent[1] - self.y[at]]
        edge = int(np.argmin(gaps))
        far = max(gaps[edge], 0) + 1.5 * self.radius
        frames_to_get_out = max(6.0, far * np.pi / 2 / 0.05)
        since = np.maximum(np.abs(t - middle) - rng.uniform(2, 6), 0) / frames_to_get_out
        push = far * 0.5 * (1 + np.cos(np.pi * np.minimum(since, 1)))
        if edge < 2:
            self.x = self.x + (push if edge else -push)
        else:
            self.y = self.y + (push if edge == 3 else -push)

    def pass_over(self, rng: Generator, t: Floats, other: Thing, speed: float) -> None:
        """Take a path that covers the middle of another thing around a random time."""
        middle = rng.uniform(0.35, 0.75) * len(t)
        way, slip = rng.uniform(0, TURN), 0.25 * other.radius * rng.uniform(-1, 1)
        along = (t - middle) * speed
        self.x = other.x + along * np.cos(way) - slip * np.sin(way)
        self.y = other.y + along * np.sin(way) + slip * np.cos(way)

    def cover(self, frame: int, height: int, width: int) -> Cover | None:
        """What the thing covers of a frame of that many pixels; None where it is outside."""
        unit = min(height, width)
        center_x, center_y = self.x[frame] * unit, self.y[frame] * unit
        size = self.size[frame] * unit
        reach = size * float(self.outline.max()) * 1.35 + 2
        x0, x1 = max(int(center_x - reach), 0), min(int(center_x + reach) + 1, width)
        y0, y1 = max(int(center_y - reach), 0), min(int(center_y + reach) + 1, height)
        if x0 >= x1 or y0 >= y1:
            return None
        dx = np.arange(x0, x1, dtype=np.float32)[None, :] + 0.5 - center_x
        dy = np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5 - center_y
        cos, sin = np.float32(np.cos(self.turn[frame])), np.float32(np.sin(self.turn[frame]))
        u, v = (cos * dx + sin * dy) / size, (cos * dy - sin * dx) / size
        edge = self._edge(frame, np.arctan2(v, u))
        opacity = np.clip((edge - np.sqrt(u * u + v * v)) * size + 0.5, 0, 1)
        texels = len(self.texture)
        texel_u = (u * self.zoom).astype(np.int32) % texels
        texel_v = (v * self.zoom).astype(np.int32) % texels
        return Cover(slice(y0, y1), slice(x0, x1), opacity, self.texture[texel_v, texel_u])

    def _edge(self, frame: int, angle: NDArray[np.floating]) -> NDArray[np.floating]:
        """The outline's radius at these angles on a frame, bent as it then is."""
        bent = self.outline.copy()
        ring = np.linspace(0, TURN, OUTLINE_ANGLES, endpoint=False, dtype=np.float32)
        for k, swing, phase in self.bends:
            bent *= 1 + swing[frame] * np.sin(k * ring + np.float32(phase))
        slot = angle * np.float32(OUTLINE_ANGLES / TURN)
        low = np.floor(slot)
        part = slot - low
        below = low.astype(np.int32) % OUTLINE_ANGLES
        edge: NDArray[np.floating] = bent[below] * (1 - part) + bent[(below + 1) % OUTLINE_ANGLES] * part
        return edge

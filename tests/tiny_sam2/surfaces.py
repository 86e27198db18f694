"""What synthetic things look like: colors, textures and outlines, all drawn from a random generator."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

TURN = 2.0 * np.pi
OUTLINE_ANGLES = 128

Floats = NDArray[np.float32]


def far_color(rng: Generator, others: Iterable[Floats], least: float) -> Floats:
    """A random RGB color in 0..1 at least `least` from each of the others, or the farthest of those tried."""
    others = list(others)
    best, best_gap = np.zeros(3, np.float32), -1.0
    for _ in range(30):
        color = rng.random(3).astype(np.float32)
        gap = min((float(np.abs(color - other).sum()) / 1.5 for other in others), default=9.0)
        if gap >= least:
            return color
        if gap > best_gap:
            best, best_gap = color, gap
    return best


def texture(rng: Generator, base: Floats, size: int = 96, strength: float = 0.35) -> Floats:
    """A periodic RGB texture in 0..1 around a base color, of shape (size, size, 3)."""
    other = np.clip(base + rng.normal(0, strength, 3), 0, 1).astype(np.float32)
    mix = _pattern(rng, size)
    fine = _smooth_noise(rng, size, 24)[..., None] - 0.5
    image: Floats = np.clip(base + (other - base) * mix[..., None] + 0.12 * fine, 0, 1).astype(np.float32)
    return image


def outline(rng: Generator) -> Floats:
    """A star-shaped outline: the radius at each of `OUTLINE_ANGLES` angles, with a mean of 1."""
    angle = np.linspace(0, TURN, OUTLINE_ANGLES, endpoint=False)
    match rng.integers(4):
        case 0:  # an ellipse
            a, b = 1.0, rng.uniform(0.55, 1.0)
            radius = a * b / np.hypot(b * np.cos(angle), a * np.sin(angle))
        case 1:  # a regular polygon, stretched
            part = TURN / int(rng.integers(3, 7))
            radius = np.cos(part / 2) / np.cos((angle % part) - part / 2)
            stretch = rng.uniform(0.75, 1.0)
            radius = radius * (stretch + (1 - stretch) * np.cos(angle) ** 2)
        case 2:  # a blob
            radius = np.ones_like(angle)
            for k in range(2, 5):
                radius += rng.uniform(0.05, 0.22) / (k - 1) * np.sin(k * angle + rng.uniform(0, TURN))
        case _:  # a star with soft points
            points = int(rng.integers(4, 7))
            radius = 1 + rng.uniform(0.12, 0.28) * np.cos(points * angle)
    scaled: Floats = (radius / radius.mean()).astype(np.float32)
    return scaled


def _pattern(rng: Generator, size: int) -> NDArray[np.floating]:
    """How much of the second color each texel has: noise, waves, checks, dots or patches."""
    kind = rng.integers(5)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    match kind:
        case 0:
            return _smooth_noise(rng, size, int(rng.integers(3, 7)))
        case 1:
            a, b = rng.integers(1, 5, 2)
            waves: NDArray[np.floating] = 0.5 + 0.5 * np.sin(TURN * (a * x + b * y))
            return waves
        case 2:
            a, b = rng.integers(2, 5, 2)
            checks: Floats = (np.sin(TURN * a * x) * np.sin(TURN * b * y) > 0).astype(np.float32)
            return checks
        case 3:
            cells = int(rng.integers(3, 6))
            dots: Floats = (((x * cells) % 1 - 0.5) ** 2 + ((y * cells) % 1 - 0.5) ** 2 < 0.09).astype(
                np.float32
            )
            return dots
        case _:
            return (_smooth_noise(rng, size, int(rng.integers(4, 9))) > 0.5).astype(np.float32)


def _smooth_noise(rng: Generator, size: int, cells: int) -> Floats:
    """Periodic noise in 0..1 of shape (size, size), with about `cells` bumps a side."""
    grid = rng.random((cells, cells)).astype(np.float32)
    wrapped = Image.fromarray(np.pad(grid, 2, mode="wrap"))
    box = (2, 2, 2 + cells, 2 + cells)
    noise: Floats = np.asarray(wrapped.resize((size, size), Image.Resampling.BICUBIC, box=box))
    scaled: Floats = (noise - noise.min()) / max(float(np.ptp(noise)), 1e-6)
    return scaled

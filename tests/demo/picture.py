"""One picture: a frame with its tracked objects, and below it a timeline with what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tests.demo.shapes import Bitmap

Colour = tuple[int, int, int]

WIDTH = 800
"""Pixels across; the height follows from the clip's."""

OBJECTS: tuple[Colour, ...] = ((255, 82, 160), (255, 186, 48), (56, 214, 255))
RED: Colour = (255, 77, 79)
AMBER: Colour = (255, 176, 32)
GREEN: Colour = (82, 210, 115)
_INK: Colour = (236, 240, 247)
_FAINT: Colour = (120, 130, 148)
_PAPER: Colour = (16, 19, 27)
_GROOVE: Colour = (38, 44, 58)

_PANEL, _PANEL_WITH_CURVES = 104, 156
"""Height of the panel below the frame; even, as video wants it."""
_MARGIN = 28
_LOWEST_IOU = 0.8


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a frame, marked on the timeline."""

    frame: int
    label: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Banner:
    """A line of text over the picture; with `alarm` the picture darkens behind it and its border glows."""

    text: str
    colour: Colour
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """What stays the same from picture to picture.

    `curves` holds each object's IoU by frame, float of shape (objects, frames); None where no truth is known.
    """

    names: tuple[str, ...]
    frames: int
    marks: tuple[Mark, ...]
    curves: NDArray[np.float64] | None


def paint(
    image: NDArray[np.uint8], masks: Sequence[Bitmap], frame: int, timeline: Timeline, banner: Banner | None
) -> Image.Image:
    """Draw one picture; `masks` may be empty while an answer is awaited."""
    height = round(WIDTH * image.shape[0] / image.shape[1] / 2) * 2
    scene = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    scene = _tinted(scene, masks)
    if banner and banner.alarm:
        scene = _alarmed(scene, banner.colour)
    panel = _PANEL if timeline.curves is None else _PANEL_WITH_CURVES
    picture = Image.new("RGB", (WIDTH, height + panel), _PAPER)
    picture.paste(Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8)), (0, 0))
    draw = ImageDraw.Draw(picture, "RGBA")
    for index, mask in enumerate(masks):
        _name(draw, mask, timeline.names[index], _colour(index))
    if banner:
        _pill(draw, (WIDTH / 2, height - 40), banner.text, banner.colour, _font(24), solid=True)
    _panel(draw, height, frame, timeline)
    return picture


def _colour(index: int) -> Colour:
    return OBJECTS[index % len(OBJECTS)]


def _tinted(scene: NDArray[np.float32], masks: Sequence[Bitmap]) -> NDArray[np.float32]:
    """Tint and outline each mask; what is not tracked is dimmed a little, so that the objects stand out."""
    if not masks:
        return scene
    height, width, _ = scene.shape
    covers = [_smooth(mask, (width, height)) for mask in masks]
    elsewhere = 1 - np.max(covers, axis=0)
    scene = scene * (1 - 0.28 * elsewhere[..., None])
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    for index, cover in enumerate(covers):
        colour = np.array(_colour(index), np.float32)
        edge = cv2.GaussianBlur(cover - cv2.erode(cover, pen), (0, 0), 0.7)[..., None]
        shade = cv2.GaussianBlur(cv2.dilate(cover, pen) - cover, (0, 0), 1.2)[..., None]
        inside = 0.30 * cover[..., None]
        scene = scene * (1 - inside) + colour * inside
        scene = scene * (1 - 0.55 * shade)
        scene = scene * (1 - edge) + colour * edge
    return scene


def _smooth(mask: Bitmap, size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask enlarged with a clean, antialiased edge: float32 in 0..1."""
    enlarged = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    blurred = cv2.GaussianBlur(enlarged, (0, 0), 1.6)
    cover: NDArray[np.float32] = np.clip((blurred - 0.5) * 4 + 0.5, 0, 1)
    return cover


def _alarmed(scene: NDArray[np.float32], colour: Colour) -> NDArray[np.float32]:
    """Grey and dark, with a glowing border."""
    height, width, _ = scene.shape
    grey = scene.mean(axis=2, keepdims=True)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    border = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y]).astype(np.float32)
    glow = np.exp(-border / 16)[..., None]
    dark = 0.42 * (0.75 * grey + 0.25 * scene)
    alarmed: NDArray[np.float32] = dark * (1 - glow) + np.array(colour, np.float32) * glow
    return alarmed


def _name(draw: ImageDraw.ImageDraw, mask: Bitmap, name: str, colour: Colour) -> None:
    """The object's name on its upper edge; nothing where it is not visible."""
    if not mask.any():
        return
    x = round(float(np.flatnonzero(mask.any(axis=0)).mean()))
    columns = mask[:, max(x - 8, 0) : x + 9]
    y = (columns if columns.any() else mask).any(axis=1).argmax()
    scale = WIDTH / mask.shape[1]
    _pill(draw, (x * scale, max(float(y) * scale, 24)), name, colour, _font(20), solid=False)


def _pill(
    draw: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    text: str,
    colour: Colour,
    font: ImageFont.FreeTypeFont,
    *,
    solid: bool,
) -> None:
    """Text in a rounded box: dark on colour, or colour on dark."""
    half_width = font.getlength(text) / 2 + 0.55 * font.size
    half_height = 0.82 * font.size
    x = min(max(centre[0], half_width + 6), WIDTH - half_width - 6)
    box = (x - half_width, centre[1] - half_height, x + half_width, centre[1] + half_height)
    draw.rounded_rectangle(box, half_height, fill=(*colour, 255) if solid else (*_PAPER, 205))
    draw.text((x, centre[1]), text, font=font, fill=_PAPER if solid else colour, anchor="mm")


def _panel(draw: ImageDraw.ImageDraw, top: int, frame: int, timeline: Timeline) -> None:
    line = top + 24
    draw.text((_MARGIN, line), f"frame {frame:2d}", font=_font(20), fill=_INK, anchor="lm")
    right = float(WIDTH - _MARGIN)
    for index in reversed(range(len(timeline.names))):
        text = timeline.names[index]
        if timeline.curves is not None:
            text += f"  {timeline.curves[index, frame]:.2f}"
        draw.text((right, line), text, font=_font(18), fill=_colour(index), anchor="rm")
        right -= _font(18).getlength(text)
        draw.ellipse((right - 22, line - 6, right - 10, line + 6), fill=_colour(index))
        right -= 42
    if timeline.curves is not None:
        draw.text((right + 8, line), "IoU", font=_font(18), fill=_FAINT, anchor="rm")
    _chart(draw, top, frame, timeline)


def _chart(draw: ImageDraw.ImageDraw, top: int, frame: int, timeline: Timeline) -> None:
    """The curves, the bar that fills, and the marks."""
    ceiling, floor = top + 48, top + (60 if timeline.curves is None else 112)

    def across(at: float) -> float:
        return _MARGIN + at / (timeline.frames - 1) * (WIDTH - 2 * _MARGIN)

    def up(value: float) -> float:
        return floor - 6 - (max(value, _LOWEST_IOU) - _LOWEST_IOU) / (1 - _LOWEST_IOU) * (floor - ceiling - 6)

    draw.rounded_rectangle((across(0), floor, across(timeline.frames - 1), floor + 6), 3, fill=_GROOVE)
    draw.rounded_rectangle((across(0), floor, max(across(frame), across(0) + 6), floor + 6), 3, fill=_INK)
    for mark in timeline.marks:
        reached = frame >= mark.frame
        colour = mark.colour if reached else _FAINT
        x = across(mark.frame)
        draw.line((x, ceiling - 4, x, floor + 10), fill=(*colour, 255 if reached else 120), width=3)
        draw.ellipse((x - 7, floor - 4, x + 7, floor + 10), fill=colour, outline=_PAPER, width=2)
        draw.text((x, floor + 26), mark.label, font=_font(17), fill=colour, anchor="mm")
    if timeline.curves is None:
        return
    for index, curve in enumerate(timeline.curves):
        points = [(across(at), up(float(value))) for at, value in enumerate(curve)]
        draw.line(points, fill=(*_colour(index), 60), width=2)
        if frame:
            draw.line(points[: frame + 1], fill=_colour(index), width=3, joint="curve")
        x, y = points[frame]
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_colour(index))


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans Bold, which comes with matplotlib: the same on every machine."""
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf"), size)

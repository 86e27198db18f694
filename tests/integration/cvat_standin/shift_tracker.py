"""A tracking function for cvat-cli: a shape moves as the pixels of its colour move."""

from __future__ import annotations

import cvat_sdk.auto_annotation as cvataa
import numpy as np
from cvat_sdk.masks import decode_mask, encode_mask
from numpy.typing import NDArray
from PIL import Image, ImageDraw

spec = cvataa.TrackingFunctionSpec(supported_shape_types={"mask", "polygon"})


class Tracked:
    """A shape where it was seen last."""

    def __init__(self, colour: tuple[int, ...], centre: NDArray[np.float64], points: list[float]) -> None:
        self.colour = colour
        self.centre = centre
        self.points = points


def preprocess_image(_context: cvataa.TrackingFunctionContext, image: Image.Image) -> NDArray[np.uint8]:
    """The pixels, shape (height, width, 3)."""
    return np.asarray(image.convert("RGB"))


def init_tracking_state(
    _context: cvataa.TrackingFunctionShapeContext, pixels: NDArray[np.uint8], shape: cvataa.TrackableShape
) -> Tracked:
    """Take the median colour under the shape."""
    colour = tuple(int(value) for value in np.median(pixels[_bitmap(shape, pixels)], axis=0))
    centre = _centre(pixels, colour)
    if centre is None:
        raise cvataa.BadFunctionError("nothing under the shape")
    return Tracked(colour, centre, shape.points)


def track(
    context: cvataa.TrackingFunctionShapeContext, pixels: NDArray[np.uint8], state: Tracked
) -> cvataa.TrackableShape | None:
    """Move the shape with its colour; None when the colour is gone."""
    centre = _centre(pixels, state.colour)
    if centre is None:
        return None
    dx, dy = (round(float(step)) for step in centre - state.centre)
    state.centre = centre
    if context.original_shape_type == "mask":
        height, width = pixels.shape[:2]
        bitmap = decode_mask(state.points, image_width=width, image_height=height)
        state.points = encode_mask(np.roll(bitmap, (dy, dx), axis=(0, 1)))
    else:
        state.points = [value + (dy if index % 2 else dx) for index, value in enumerate(state.points)]
    return cvataa.TrackableShape(type=context.original_shape_type, points=state.points)


def _bitmap(shape: cvataa.TrackableShape, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    height, width = pixels.shape[:2]
    if shape.type == "mask":
        return np.asarray(decode_mask(shape.points, image_width=width, image_height=height))
    image = Image.new("1", (width, height))
    ImageDraw.Draw(image).polygon(shape.points, fill=1)
    return np.asarray(image)


def _centre(pixels: NDArray[np.uint8], colour: tuple[int, ...]) -> NDArray[np.float64] | None:
    rows, columns = np.nonzero((pixels == colour).all(axis=-1))
    return np.array([columns.mean(), rows.mean()]) if rows.size else None

"""Shapes in and out: what annotators draw becomes a prompt, what the model finds becomes a shape."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sam2_agent.core.masks import MAX_PIXELS, MAX_SIDE
from sam2_agent.core.shapes import read_prompt, write_points
from sam2_agent.core.tracking import BoxPrompt, MaskPrompt
from sam2_agent.errors import InvalidShape, RequestRefused

SIZE = (10, 8)
MASK = [1, 2, 2, 1, 3, 2, 5, 3]
"""A mask in the box (3, 2)-(5, 3), of three by two pixels: `.##` over `..#`."""


def test_a_mask_is_a_mask_prompt() -> None:
    prompt = read_prompt("mask", [float(number) for number in MASK], 0.0, SIZE)

    assert isinstance(prompt, MaskPrompt)
    assert prompt.mask.shape == (8, 10)
    assert np.argwhere(prompt.mask).tolist() == [[2, 4], [2, 5], [3, 5]]


def test_a_polygon_is_a_mask_prompt() -> None:
    prompt = read_prompt("polygon", [2, 1, 6, 1, 6, 4, 2, 4], 0.0, SIZE)

    assert isinstance(prompt, MaskPrompt)
    assert write_points("rectangle", prompt.mask) == [2, 1, 6, 4]
    assert prompt.mask.sum() == 12


def test_a_rectangle_is_a_box_prompt_cut_to_the_image() -> None:
    assert read_prompt("rectangle", [1.5, 2.0, 4.0, 6.5], 0.0, SIZE) == BoxPrompt((1.5, 2.0, 4.0, 6.5))
    assert read_prompt("rectangle", [-3.0, 2.0, 40.0, 6.5], 360.0, SIZE) == BoxPrompt((0.0, 2.0, 10.0, 6.5))


def test_a_found_mask_is_written_as_each_type() -> None:
    mask = np.zeros((8, 10), np.bool_)
    mask[2, 4:6] = True
    mask[3, 5] = True

    assert write_points("rectangle", mask) == [4, 2, 6, 4]
    assert write_points("mask", mask) == [0, 2, 1, 1, 4, 2, 5, 3]
    assert write_points("polygon", mask) is not None


@pytest.mark.parametrize("shape_type", ["mask", "polygon", "rectangle"])
def test_a_lost_object_has_no_shape(shape_type: str) -> None:
    assert write_points(shape_type, np.zeros((8, 10), np.bool_)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape_type", "points", "rotation", "sentence"),
    [
        (
            "ellipse",
            [1, 2, 3, 4],
            0,
            "Shapes of type ellipse cannot be tracked; only masks, polygons and rectangles can.",
        ),
        (
            "rectangle",
            [1, 2, 3, 4],
            30,
            "A rotated rectangle cannot be tracked; draw it upright or as a polygon, or leave it out.",
        ),
        ("polygon", [1, 2, 3, 4, 5, 1], 90, "A rotated polygon cannot be tracked"),
        ("rectangle", [1, 2, 3], 0, "A rectangle is damaged"),
        ("rectangle", [5, 2, 5, 4], 0, "A rectangle covers nothing of the image"),
        ("rectangle", [6, 2, 5, 4], 0, "A rectangle covers nothing of the image"),
        ("rectangle", [11, 2, 15, 4], 0, "A rectangle covers nothing of the image"),
        ("rectangle", [1, 2, math.nan, 4], 0, "not finite"),
        ("polygon", [], 0, "at least three points"),
        ("polygon", [1, 1, 5, 5], 0, "at least three points"),
        ("polygon", [1, 1, 5, 5, 3], 0, "at least three points"),
        ("polygon", [1, 1, 5, math.inf, 3, 3], 0, "not finite"),
        ("polygon", [1, 1, 5, 1e300, 3, 3], 0, "far outside"),
        ("polygon", [1, 1, 5, 10**400, 3, 3], 0, "not finite"),
        ("polygon", [20, 20, 30, 20, 30, 30], 0, "covers no pixel"),
        ("polygon", [1, 1, 5, 5, 1, 1], 0, "covers no pixel"),
        ("polygon", ["1", "1", "5", "5", "1", "4"], 0, "not finite"),
        ("polygon", [True, 1, 5, 5, 1, 4], 0, "not finite"),
        ("mask", [], 0, "too few or too many"),
        ("mask", [3, 2, 5, 3], 0, "too few or too many"),
        ("mask", [0] * 86, 0, "too few or too many"),
        ("mask", [1, 2, 2.5, 0.5, 3, 2, 5, 3], 0, "not whole"),
        ("mask", [1, 2, -2, 5, 3, 2, 5, 3], 0, "not whole"),
        ("mask", [1, 2, 2, 1, -3, 2, 5, 3], 0, "not whole"),
        ("mask", [1, 2, 2, 1, 3, 2, 10, 3], 0, "does not lie inside the image of 10 x 8"),
        ("mask", [1, 2, 2, 1, 3, 2, 5, 8], 0, "does not lie inside"),
        ("mask", [1, 2, 2, 1, 6, 2, 5, 3], 0, "does not lie inside"),
        ("mask", [1, 2, 2, 2, 3, 2, 5, 3], 0, "do not fill its box"),
        ("mask", [1e18, 3, 2, 5, 3], 0, "do not fill its box"),
        ("mask", [6, 3, 2, 5, 3], 0, "A mask covers no pixel of the image; draw it again."),
    ],
)
def test_what_cannot_be_tracked_is_refused_with_a_sentence(
    shape_type: str, points: list[float], rotation: float, sentence: str
) -> None:
    with pytest.raises(InvalidShape) as refused:
        read_prompt(shape_type, points, rotation, SIZE)

    assert sentence in str(refused.value)
    assert str(refused.value).endswith(".")
    assert isinstance(refused.value, RequestRefused)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (2**16, 3), (2**14, 2**14 + 1), (2**31, 2**31)])
@pytest.mark.parametrize("shape_type", ["mask", "polygon", "rectangle"])
def test_no_image_of_hostile_size_is_allocated(shape_type: str, size: tuple[int, int]) -> None:
    with pytest.raises(InvalidShape, match="cannot be tracked"):
        read_prompt(shape_type, [0, 4, 1, 1, 2, 2], 0, size)

    assert (MAX_PIXELS, MAX_SIDE) == (2**28, 2**16 - 1)


def test_a_polygon_of_hostile_complexity_is_refused() -> None:
    zigzag = [coordinate for place in range(5_000) for coordinate in (place, 0, place, 10_000)]

    with pytest.raises(InvalidShape, match="too many points"):
        read_prompt("polygon", zigzag, 0, (5_000, 10_000))

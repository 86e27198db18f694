"""Polygons: which pixels are inside, what becomes of parts and holes, and how much a round trip keeps."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from sam2_agent.core.polygons import LEAST_IOU, outline, rasterize
from tests.tiny_sam2.synthetic_video import make_video

coordinates = st.floats(-4, 14, width=32)
corners = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7)


@given(corners)
def test_a_pixel_is_inside_when_its_center_is(polygon: list[tuple[float, float]]) -> None:
    inside = rasterize([value for corner in polygon for value in corner], (10, 8))

    for y in range(8):
        for x in range(10):
            assert inside[y, x] == _contains(polygon, x + 0.5, y + 0.5)


def _contains(polygon: list[tuple[float, float]], x: float, y: float) -> bool:
    """The even-odd rule, one edge after the other: how often does the ray to the left cross the outline."""
    crossings = 0
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        (ax, ay), (bx, by) = ((x1, y1), (x2, y2)) if y1 <= y2 else ((x2, y2), (x1, y1))
        if ay <= y < by and ax + (y - ay) / (by - ay) * (bx - ax) <= x:
            crossings += 1
    return crossings % 2 == 1


def test_an_upright_square_keeps_its_area() -> None:
    assert rasterize([2, 3, 7, 3, 7, 6, 2, 6], (10, 8)).sum() == 15
    assert rasterize([2.4, 3.4, 7.4, 3.4, 7.4, 6.4, 2.4, 6.4], (10, 8)).sum() == 15


def test_what_lies_outside_the_image_is_cut_off() -> None:
    assert rasterize([-500, -500, 500, -500, 500, 500, -500, 500], (10, 8)).all()
    assert rasterize([-5, -5, 5, -5, 5, 5, -5, 5], (10, 8)).sum() == 25


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_any_mask_that_is_not_empty_has_an_outline(mask: NDArray[np.bool_]) -> None:
    points = outline(mask)

    assert (points is None) == (not mask.any())
    if points is not None:
        assert len(points) >= 6
        assert len(points) % 2 == 0
        assert max(np.ptp(points[::2]), np.ptp(points[1::2])) >= 1  # CVAT's page drops what is smaller
        assert 0 <= min(points[::2]) < max(points[::2]) <= mask.shape[1]
        assert 0 <= min(points[1::2]) < max(points[1::2]) <= mask.shape[0]
        assert rasterize(points, mask.shape[::-1]).any()


def test_of_several_parts_the_largest_is_written() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[2:6, 2:6] = True
    large = np.zeros_like(mask)
    large[8:18, 10:25] = True

    assert np.array_equal(_round_trip(mask | large), large)


def test_holes_are_filled() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[4:16, 5:25] = True
    holed = mask.copy()
    holed[8:12, 10:20] = False

    assert np.array_equal(_round_trip(holed), mask)


def test_a_larger_part_counts_without_its_holes() -> None:
    """A thin ring around much background is a smaller part than a solid block."""
    mask = np.zeros((40, 60), np.bool_)
    cv2.circle(ring := np.zeros((40, 60), np.uint8), (18, 20), 15, 1, 1)
    block = np.zeros_like(mask)
    block[10:30, 40:55] = True

    assert np.array_equal(_round_trip((ring > 0) | block), block)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_few_pixels_survive(side: int) -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[4 : 4 + side, 5 : 5 + side] = True

    assert np.array_equal(_round_trip(mask), mask)


@pytest.mark.parametrize("thickness", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", ["flat", "slanting", "wave", "arc"])
def test_a_thin_object_keeps_its_thickness(shape: str, thickness: int) -> None:
    wave = np.array([(x, round(60 + 30 * math.sin(x / 15))) for x in range(10, 190, 2)])
    canvas = np.zeros((120, 200), np.uint8)
    match shape:
        case "flat":
            cv2.line(canvas, (10, 50), (180, 50), 1, thickness)
        case "slanting":
            cv2.line(canvas, (10, 20), (180, 100), 1, thickness)
        case "wave":
            cv2.polylines(canvas, [wave], isClosed=False, color=1, thickness=thickness)
        case "arc":
            cv2.ellipse(canvas, (100, 60), (70, 40), 0, 0, 300, 1, thickness)
    mask = canvas > 0

    assert _iou(mask, _round_trip(mask)) >= LEAST_IOU


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_a_round_trip_keeps_the_largest_part_with_its_holes_filled(mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        return
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    order = [(-statistics[n, cv2.CC_STAT_AREA], statistics[n, cv2.CC_STAT_TOP]) for n in range(1, count)]
    # Two of the same size may begin in the same row: then it is one of them.
    largest = [labels == n for n in range(1, count) if order[n - 1] == min(order)]
    kept = _round_trip(mask)

    assert max(_iou(_without_holes(part), kept) for part in largest) >= LEAST_IOU


def test_of_two_parts_of_the_same_size_the_topmost_counts() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[3, 2] = mask[4, 0] = True
    assert np.argwhere(_round_trip(mask)).tolist() == [[3, 2]]


def _without_holes(part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    background = np.pad(~part, 1, constant_values=True).astype(np.uint8)
    _, outside = cv2.connectedComponents(background, connectivity=4)
    filled: NDArray[np.bool_] = (outside != outside[0, 0])[1:-1, 1:-1]
    return filled


def test_round_trips_keep_the_objects_of_the_synthetic_videos() -> None:
    """Masks of one part, at 240 by 180 pixels, as an annotator's polygon and back."""
    ious, counts = [], []
    for seed in range(2_000_000, 2_000_020):
        video = make_video(seed, "easy", 2)
        for obj in range(1, video.num_objects + 1):
            mask = video.mask(1, obj)
            points = outline(mask)
            assert points is not None
            counts.append(len(points) // 2)
            ious.append(_iou(mask, rasterize(points, (240, 180))))

    assert np.mean(ious) > 0.98
    assert min(ious) > 0.96
    assert np.mean(counts) < 30


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def _round_trip(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    points = outline(mask)
    assert points is not None
    return rasterize(points, mask.shape[::-1])

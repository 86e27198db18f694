"""Shapes as browsers send them: a prompt, or a sentence; masks and boxes come back as they were."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from sam2_agent.core.masks import decode_mask, encode_mask
from sam2_agent.core.shapes import read_prompt, write_points
from sam2_agent.core.tracking import BoxPrompt, MaskPrompt
from sam2_agent.errors import InvalidShape
from tests.fuzz.strategies import numbers

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.tuples(
    st.integers(-1, 2**70), st.integers(-1, 99)
)


def bitmaps() -> st.SearchStrategy[NDArray[np.bool_]]:
    """Masks with at least one pixel, (height, width)."""
    return npst.arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))).filter(
        lambda mask: bool(mask.any())
    )


@given(
    st.sampled_from(["mask", "polygon", "rectangle", "ellipse", ""]),
    st.lists(numbers | st.none() | st.text(max_size=3), max_size=24)
    | st.lists(st.integers(0, 40), max_size=24),
    st.sampled_from([0, 0.0, 360, 90, -0.0, 1e-9, 1e308]),
    sizes,
)
def test_any_numbers_are_a_prompt_or_a_sentence(
    kind: str, points: list[Any], rotation: float, size: tuple[int, int]
) -> None:
    with suppress(InvalidShape):
        prompt = read_prompt(kind, points, rotation, size)
        if isinstance(prompt, BoxPrompt):
            x1, y1, x2, y2 = prompt.box
            assert 0 <= x1 < x2 <= size[0]
            assert 0 <= y1 < y2 <= size[1]
        else:
            assert prompt.mask.shape == size[::-1]
            assert prompt.mask.any()


@given(bitmaps(), st.data())
def test_a_damaged_mask_is_another_mask_or_a_sentence(mask: NDArray[np.bool_], data: st.DataObject) -> None:
    points: list[Any] = list(encode_mask(mask) or ())
    points[data.draw(st.integers(0, len(points) - 1))] = data.draw(numbers)
    with suppress(InvalidShape):
        assert decode_mask(points, mask.shape[::-1]).shape == mask.shape


@given(bitmaps())
def test_masks_come_back(mask: NDArray[np.bool_]) -> None:
    assert (decode_mask(write_points("mask", mask) or [], mask.shape[::-1]) == mask).all()


@given(bitmaps())
def test_outlines_and_boxes_of_masks_are_shapes_again(mask: NDArray[np.bool_]) -> None:
    """An answer can be tracked on from: the annotator does so after correcting the other objects."""
    size = mask.shape[::-1]
    polygon = read_prompt("polygon", write_points("polygon", mask) or [], 0, size)
    assert isinstance(polygon, MaskPrompt)
    assert (polygon.mask & mask).any()
    box = read_prompt("rectangle", write_points("rectangle", mask) or [], 0, size)
    assert isinstance(box, BoxPrompt)
    rows, columns = mask.nonzero()
    assert box.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)

"""Our run lengths are CVAT's: the same as `cvat_sdk.masks`, which the server's own tools use."""

from __future__ import annotations

import cvat_sdk.masks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from sam2_agent.core.masks import decode_mask, encode_mask
from sam2_agent.errors import InvalidShape

bitmaps = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(bitmaps)
def test_masks_are_written_as_by_cvat(mask: NDArray[np.bool_]) -> None:
    assert encode_mask(mask) == (cvat_sdk.masks.encode_mask(mask) if mask.any() else None)


@given(bitmaps, st.data())
def test_masks_in_any_box_are_read_as_by_cvat(mask: NDArray[np.bool_], data: st.DataObject) -> None:
    height, width = mask.shape
    x1 = data.draw(st.integers(0, width - 1))
    y1 = data.draw(st.integers(0, height - 1))
    box = [x1, y1, data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height))]
    encoded = cvat_sdk.masks.encode_mask(mask, box)

    ours = decode_mask(encoded, (width, height))

    assert np.array_equal(ours, cvat_sdk.masks.decode_mask(encoded, image_width=width, image_height=height))


@given(bitmaps)
def test_masks_survive_a_round_trip(mask: NDArray[np.bool_]) -> None:
    encoded = encode_mask(mask)
    if encoded is not None:
        assert np.array_equal(decode_mask(encoded, mask.shape[::-1]), mask)


numbers = st.one_of(
    st.integers(-2, 40),
    st.floats(-5, 40),
    st.floats(),
    st.sampled_from([2**63, 1e300, -0.0, True, "1", None]),
)


@given(st.lists(numbers, max_size=12))
def test_whatever_is_accepted_cvat_accepts_and_the_rest_is_a_sentence(points: list[float]) -> None:
    try:
        ours = decode_mask(points, (6, 5))
    except InvalidShape as error:
        sentence = str(error)
    else:
        sentence = "."
        assert np.array_equal(ours, cvat_sdk.masks.decode_mask(points, image_width=6, image_height=5))
    assert sentence.endswith(".")


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_whatever_cvat_accepts_is_accepted(runs: list[int]) -> None:
    area = sum(runs)
    if not 1 <= area <= 60:
        return
    points = [*runs, 2, 1, 2 + area - 1, 1]

    theirs = cvat_sdk.masks.decode_mask(points, image_width=64, image_height=3)

    assert np.array_equal(decode_mask(points, (64, 3)), theirs)


def test_a_mask_of_a_whole_large_image_is_read() -> None:
    checkers = np.indices((300, 400)).sum(axis=0) % 2 == 0

    encoded = encode_mask(checkers)

    assert encoded is not None
    assert np.array_equal(decode_mask(encoded, (400, 300)), checkers)
    with pytest.raises(InvalidShape):
        decode_mask(encoded, (399, 300))

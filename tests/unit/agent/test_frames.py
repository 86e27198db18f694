"""Frames are decoded as CVAT shows them, and nothing else is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sam2_agent.adapters.images import decode
from sam2_agent.errors import RequestRefused


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_pixels_come_back(kind: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(decode(encoded(Image.fromarray(pixels), kind), "Frame 0"), pixels)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_other_modes_become_rgb(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert decode(encoded(Image.new(mode, (7, 5)), kind), "Frame 0").shape == (5, 7, 3)


def test_orientation_is_not_applied_again() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Image.new("RGB", (7, 5)), "JPEG", exif=exif), "Frame 0").shape == (5, 7, 3)


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(RequestRefused, match="Frame 4 cannot be read as an image"):
        decode(noise, "Frame 4")


def test_a_truncated_image_is_refused() -> None:
    whole = encoded(Image.fromarray(np.random.default_rng(1).integers(0, 255, (50, 70, 3), dtype=np.uint8)))
    with pytest.raises(RequestRefused, match="cannot be read"):
        decode(whole[: len(whole) // 2], "Frame 0")


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    for side in (9_000, 20_000):
        with pytest.raises(RequestRefused, match="at most 80,000,000"):
            decode(encoded(Image.new("1", (side, side))), "Frame 0")


def test_formats_that_cvat_does_not_serve_are_not_opened() -> None:
    with pytest.raises(RequestRefused, match="cannot be read"):
        decode(encoded(Image.new("RGB", (7, 5)), "PDF"), "Frame 0")
    with pytest.raises(RequestRefused, match="cannot be read"):
        decode(encoded(Image.new("RGB", (7, 5)), "SGI"), "Frame 0")

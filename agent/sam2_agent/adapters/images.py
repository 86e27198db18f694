"""Reading image files that somebody else sent."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_agent.errors import RequestRefused

MAX_PIXELS = 80_000_000
"""The largest frame that is decoded; 8K video has 33 million pixels."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What CVAT serves; Pillow's rarer readers stay out of reach."""


def decode(data: bytes, what: str) -> NDArray[np.uint8]:
    """Decode an image file to RGB of shape (height, width, 3).

    Raises:
        RequestRefused: it is none, or too large; `what` begins the sentence.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _require_room(image.size, what)
            return np.array(image.convert("RGB"), dtype=np.uint8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RequestRefused(
            f"{what} is too large; the agent decodes at most {MAX_PIXELS:,} pixels."
        ) from error
    except RequestRefused:
        raise
    except Exception as error:  # Pillow's readers raise whatever they meet in a broken file
        raise RequestRefused(f"{what} cannot be read as an image.") from error


def _require_room(size: tuple[int, int], what: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise RequestRefused(f"{what} is {width}x{height} pixels; the agent decodes at most {MAX_PIXELS:,}.")

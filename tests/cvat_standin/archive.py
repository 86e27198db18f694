"""Frames of a test as the zip archive that a task is made from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FrameImage = bytes | Image.Image | NDArray[np.uint8]
"""An encoded PNG or JPEG, an image, or an array of shape (height, width, 3) or (height, width)."""


def pack_frames(frames: Sequence[FrameImage]) -> bytes:
    """A zip archive whose names are in the order of the frames; images not encoded yet become PNG."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for index, frame in enumerate(frames):
            data = frame if isinstance(frame, bytes) else _encode(frame)
            extension = "png" if data.startswith(b"\x89PNG") else "jpeg"
            opened.writestr(f"{index:06d}.{extension}", data)
    return archive.getvalue()


def _encode(frame: Image.Image | NDArray[np.uint8]) -> bytes:
    encoded = io.BytesIO()
    image = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
    image.save(encoded, "PNG")
    return encoded.getvalue()

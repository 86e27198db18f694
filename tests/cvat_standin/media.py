"""Frames and chunks as CVAT serves them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from PIL import Image

from tests.cvat_standin.errors import ApiError, invalid, refused
from tests.cvat_standin.tasks import Frame, Task

JPEG_QUALITY = 70
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # so that the same chunk has the same checksum


def read_media(
    task: Task, *, kind: str, number: int | None, quality: str, first: int = 0
) -> tuple[bytes, str]:
    """The bytes and the media type of a frame or chunk; `first` is the frame that chunk 0 begins with.

    Raises `ApiError` 400 for what does not exist.
    """
    if quality not in {"original", "compressed"}:
        raise invalid("quality", f'"{quality}" is not a valid choice.')
    if number is None:
        raise refused("Number was not specified")
    if kind == "frame":
        if not 0 <= number < len(task.frames):
            raise refused(f"Incorrect requested frame number: {number}")
        return _frame(task, task.frames[number], quality)
    if kind == "chunk":
        start = first + number * task.chunk_size
        frames = task.frames[start : start + task.chunk_size]
        if number < 0 or not frames:
            raise refused(f"Incorrect requested chunk number: {number}")
        return _chunk(task, frames, quality)
    raise refused(f"Data type not specified or unsupported: {kind}")


def _frame(task: Task, frame: Frame, quality: str) -> tuple[bytes, str]:
    if quality == "compressed":
        return _encode(frame, "JPEG"), "image/jpeg"
    if task.from_video and frame.media_type != "image/png":
        return _encode(frame, "PNG"), "image/png"
    return frame.data, frame.media_type


def _chunk(task: Task, frames: Sequence[Frame], quality: str) -> tuple[bytes, str]:
    if task.from_video and quality == "original":
        raise ApiError(
            501, {"detail": "This stand-in has no video encoder: fetch frames, or compressed chunks."}
        )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for index, frame in enumerate(frames):
            data, media_type = _frame(task, frame, quality)
            name = f"{index:06d}.{media_type.removeprefix('image/')}"
            opened.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), data)
    return archive.getvalue(), "application/zip"


def _encode(frame: Frame, image_format: str) -> bytes:
    encoded = io.BytesIO()
    with Image.open(io.BytesIO(frame.data)) as image:
        image.convert("RGB").save(encoded, image_format, quality=JPEG_QUALITY)
    return encoded.getvalue()

"""From pictures to files, by the ffmpeg that imageio-ffmpeg brings."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
from PIL import Image

from tests.demo.errors import DemoError

_GIF_WIDTH = 480
_GIF = (
    f"scale={_GIF_WIDTH}:-1:flags=lanczos,hqdn3d=4:4:9:9,split[a][b];"
    "[a]palettegen=max_colors=112:stats_mode=full[p];[b][p]paletteuse=dither=none:diff_mode=rectangle"
)


def write_mp4(pictures: Sequence[Image.Image], path: Path, frames_per_second: int) -> None:
    """H.264 that every browser plays."""
    _encode(pictures, path, frames_per_second, "-c:v", "libx264", "-crf", "18", "-preset", "medium",
            "-pix_fmt", "yuv420p", "-movflags", "+faststart")  # fmt: skip


def write_gif(pictures: Sequence[Image.Image], path: Path, frames_per_second: int) -> None:
    """An endless GIF, smaller than the pictures, with one palette for all of them."""
    _encode(pictures, path, frames_per_second, "-filter_complex", _GIF, "-loop", "0")


def _encode(pictures: Sequence[Image.Image], path: Path, frames_per_second: int, *options: str) -> None:
    width, height = pictures[0].size
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-threads", "2",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
        "-r", str(frames_per_second), "-i", "-",
        *options, str(path),
    ]  # fmt: skip
    done = subprocess.run(
        command, input=b"".join(picture.tobytes() for picture in pictures), capture_output=True, check=False
    )
    if done.returncode:
        raise DemoError(f"{path} could not be written: {done.stderr.decode(errors='replace').strip()}")

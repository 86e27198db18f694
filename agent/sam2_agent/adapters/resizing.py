"""From a picture to the square that a model reads, bit for bit as `sam2.utils.misc.load_video_frames`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_agent.core.tracking import Resized


def resize(image: NDArray[np.uint8], side: int) -> Resized:
    """Resize an RGB picture (height, width, 3) to a square, with Pillow (bicubic) as SAM2 does."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"not an RGB image: {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    return Resized((width, height), np.array(Image.fromarray(image).resize((side, side))))

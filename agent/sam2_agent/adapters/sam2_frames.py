"""From a picture to what SAM2's image encoder takes, bit for bit as `sam2.utils.misc.load_video_frames`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sam2_agent.core.tracking import Resized

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFrame:
    """One frame as the model sees it.

    `size` is the picture's width and height in pixels, `image` the normalized input, float32 (1, 3, side,
    side), `backbone` what `SAM2Base.forward_image` gave for it.
    """

    size: tuple[int, int]
    image: torch.Tensor
    backbone: dict[str, Any]


def resize(image: NDArray[np.uint8], side: int) -> Resized:
    """Resize an RGB picture (height, width, 3) to a square, with Pillow (bicubic) as SAM2 does."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"not an RGB image: {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    return Resized((width, height), np.array(Image.fromarray(image).resize((side, side))))


def normalize(image: Resized, device: torch.device) -> torch.Tensor:
    """Normalize a resized picture: float32 (1, 3, side, side).

    SAM2 divides by 255 in float64; rounded to float32, each of the 256 values is the one that float32 gives.
    """
    # The layout decides which convolution kernels run, and with that the last bits.
    tensor = torch.from_numpy(image.pixels).to(device).permute(2, 0, 1).to(torch.float32).contiguous()
    # Divided by a number of the host, CUDA would multiply by the rounded reciprocal.
    tensor /= torch.tensor(255.0, device=device)
    tensor -= torch.tensor(_MEAN, dtype=torch.float32, device=device)[:, None, None]
    tensor /= torch.tensor(_STD, dtype=torch.float32, device=device)[:, None, None]
    return tensor.unsqueeze(0)

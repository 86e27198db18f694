"""From a resized picture to what the image encoder takes, bit for bit as `sam2.utils.misc` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

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

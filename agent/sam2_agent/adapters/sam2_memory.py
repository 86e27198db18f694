"""Spatial memory as bytes, in safetensors: data only, nothing in it is executed.

Whether the bytes are those that were written is for the record around them to say
(`sam2_agent.core.records`).
"""

from __future__ import annotations

from dataclasses import dataclass

import safetensors.torch
import torch
from safetensors import SafetensorError

from sam2_agent.errors import DamagedRecord

_NAME = "maskmem_features"


@dataclass(frozen=True, slots=True, eq=False)
class SpatialMemory:
    """SAM2's memory of one object on one frame: bfloat16 of shape (1, memory width, rows, columns)."""

    features: torch.Tensor


def dump(memory: SpatialMemory) -> bytes:
    """Write memory as a safetensors file; position encodings are not in it, they follow from the shape."""
    data: bytes = safetensors.torch.save({_NAME: memory.features.cpu().contiguous()})
    return data


def load(data: bytes, shape: tuple[int, ...], device: torch.device) -> SpatialMemory:
    """Read memory of that shape.

    Raises:
        DamagedRecord: it is no such file, or memory of another model.
    """
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise DamagedRecord("A memory record is no safetensors file.") from error
    features = tensors.get(_NAME)
    if len(tensors) != 1 or features is None:
        raise DamagedRecord("A memory record holds other tensors than memory.")
    if features.dtype != torch.bfloat16 or tuple(features.shape) != shape:
        raise DamagedRecord("A memory record is of another model.")
    return SpatialMemory(features.to(device))

"""Spatial memory as bytes: a digest, then safetensors.  Data only, nothing in it is executed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import safetensors.torch
import torch
from safetensors import SafetensorError

from sam2_agent.errors import DamagedRecord

_NAME = "maskmem_features"
_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True, eq=False)
class SpatialMemory:
    """SAM2's memory of one object on one frame: bfloat16 of shape (1, memory width, rows, columns)."""

    features: torch.Tensor


def dump(memory: SpatialMemory) -> bytes:
    """Serialize: SHA-256 of the rest, then a safetensors file with one tensor.

    Position encodings are not in it: they are a function of the shape.
    """
    body = safetensors.torch.save({_NAME: memory.features.cpu().contiguous()})
    return hashlib.sha256(body).digest() + body


def load(data: bytes, shape: tuple[int, ...], device: torch.device) -> SpatialMemory:
    """Give back what `dump` was given.

    Raises:
        DamagedRecord: other bytes, or memory of another model.
    """
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise DamagedRecord("A memory record does not match its checksum.")
    try:
        tensors = safetensors.torch.load(body)
    except SafetensorError as error:
        raise DamagedRecord("A memory record is no safetensors file.") from error
    features = tensors.get(_NAME)
    if len(tensors) != 1 or features is None:
        raise DamagedRecord("A memory record holds other tensors than memory.")
    if features.dtype != torch.bfloat16 or tuple(features.shape) != shape:
        raise DamagedRecord("A memory record is of another model.")
    return SpatialMemory(features.to(device))

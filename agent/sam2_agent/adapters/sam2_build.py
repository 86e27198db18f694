"""Build SAM2's own, unmodified `SAM2VideoPredictor`.

The model is built as sam2's builder does by default, with one difference: holes in masks are not filled.
Filling needs sam2's compiled extension, warns on every call without it, and leaks into the memory of the
prompt's frame.

A config names the classes to build, so whoever writes a config chooses code: it is trusted as the image is.
A checkpoint is not: it is loaded as tensors only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from sam2.build_sam import build_sam2_video_predictor
from sam2.sam2_video_predictor import SAM2VideoPredictor

from sam2_agent.adapters.sam2_device import device_failure, failures_translated
from sam2_agent.adapters.sam2_hub import HubModel, fetch
from sam2_agent.core.tracking import MEMORY_FRAMES, POINTER_FRAMES
from sam2_agent.errors import DeviceLost, DeviceOutOfMemory, ModelInvalid, ModelNotFound

_HYDRA_VERSION = "1.2"


@dataclass(frozen=True, slots=True)
class VolumeModel:
    """A model that lies on a volume: a Hydra config (yaml) and a checkpoint (`{"model": state dict}`)."""

    config: Path
    checkpoint: Path


ModelSource: TypeAlias = HubModel | VolumeModel


@dataclass(frozen=True, slots=True, eq=False)
class BuiltModel:
    """A predictor ready to run, and the SHA-256 of its weights and resolved config in hexadecimal digits."""

    predictor: SAM2VideoPredictor
    digest: str


def build(source: ModelSource, device: torch.device) -> BuiltModel:
    """Build the model that a source names; on a source's first use this may download it.

    Hydra's global state is left as it was found.

    Raises:
        ModelNotFound: a file or an entry of the hub is missing or cannot be reached.
        ModelInvalid: the files are no SAM2 model, do not fit each other, or need what the agent does not do.
        DeviceOutOfMemory, DeviceLost: the device cannot take the model.
    """
    if isinstance(source, HubModel):
        config_name, checkpoint = fetch(source)
        with _hydra_configs(None):
            return _build(config_name, config_name, checkpoint, device)
    for path in (source.config, source.checkpoint):
        if not path.is_file():
            raise ModelNotFound(f"There is no file {path}; check the model's paths and its volume.")
    with _hydra_configs(source.config.parent.resolve()):
        return _build(str(source.config), source.config.name, source.checkpoint, device)


@contextmanager
def _hydra_configs(folder: Path | None) -> Iterator[None]:
    """Let Hydra find configs in a folder, or in the sam2 package; put its state back afterwards."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        if folder is None:
            initialize_config_module("sam2", version_base=_HYDRA_VERSION)
        else:
            initialize_config_dir(str(folder), version_base=_HYDRA_VERSION)
        yield
    finally:
        GlobalHydra.instance().hydra = before


def _build(label: str, config_name: str, checkpoint: Path, device: torch.device) -> BuiltModel:
    state, weights_digest = _read_checkpoint(checkpoint)
    try:
        config = OmegaConf.to_container(compose(config_name=config_name), resolve=True)
        predictor = build_sam2_video_predictor(config_name, None, "cpu", apply_postprocessing=True)
    except Exception as error:  # a config can name any class, which can raise anything
        if failure := _failure_of_a_gpu(device, error):
            raise failure from error
        raise ModelInvalid(f"{label} is no config that SAM2 can build ({_brief(error)}).") from error
    # sam2's builder puts its own value after any override it is given.
    predictor.fill_hole_area = 0
    _require_supported(label, predictor)
    try:
        predictor.load_state_dict(state)
    except RuntimeError as error:
        raise ModelInvalid(f"The checkpoint {checkpoint.name} does not fit the config {label}.") from error
    resolved = json.dumps(config, sort_keys=True)
    digest = hashlib.sha256(f"{weights_digest}\n{resolved}".encode()).hexdigest()
    with failures_translated(device):
        return BuiltModel(predictor.to(device), digest)


def _read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The state dict of a checkpoint, and the SHA-256 of its file."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelNotFound(f"The checkpoint {path} cannot be read ({error.strerror}).") from error
    except Exception as error:  # a damaged file makes torch raise many things
        raise ModelInvalid(f"{path} is no checkpoint of tensors.") from error
    state = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelInvalid(f'{path} is no SAM2 checkpoint: it holds no state dict under "model".')
    return state, digest


def _require_supported(label: str, predictor: object) -> None:
    """Refuse what would make a step depend on more than the records it is given."""
    if not isinstance(predictor, SAM2VideoPredictor):
        raise ModelInvalid(f"{label} does not describe a SAM2 model.")
    limits = {
        "num_maskmem": 1 <= predictor.num_maskmem <= MEMORY_FRAMES + 1,
        "max_obj_ptrs_in_encoder": predictor.max_obj_ptrs_in_encoder <= POINTER_FRAMES + 1,
        "memory_temporal_stride_for_eval": predictor.memory_temporal_stride_for_eval == 1,
        "non_overlap_masks": not predictor.non_overlap_masks,
        "non_overlap_masks_for_mem_enc": not predictor.non_overlap_masks_for_mem_enc,
    }
    broken = [name for name, holds in limits.items() if not holds]
    if broken:
        raise ModelInvalid(f"{label} sets {', '.join(broken)} to a value that the agent does not support.")


def _failure_of_a_gpu(device: torch.device, error: BaseException) -> DeviceOutOfMemory | DeviceLost | None:
    """What a GPU did to a constructor: sam2's put tables on one where one is, even for a model on the CPU."""
    gpu = device if device.type == "cuda" else torch.device("cuda")
    failure = device_failure(gpu, error)
    # Hydra wraps what a constructor raises.
    if failure is None and error.__cause__ is not None:
        return _failure_of_a_gpu(device, error.__cause__)
    return failure


def _brief(error: Exception) -> str:
    """The first line of an error, at most 200 characters."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__

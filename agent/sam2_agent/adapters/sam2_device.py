"""Which device the model runs on, at which precision, and what its failures mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal, TypeAlias

import torch

from sam2_agent.errors import DeviceLost, DeviceOutOfMemory, DeviceUnavailable

Precision: TypeAlias = Literal["float32", "bfloat16"]
PrecisionSetting: TypeAlias = Precision | Literal["auto"]

# What PyTorch says in a plain RuntimeError when a CUDA library fails; the driver's own failures have a class.
_CUDA_WORDS = ("CUDA", "cuDNN", "CUBLAS", "CUFFT", "NVRTC", "NVML")


def open_device(name: str) -> torch.device:
    """The device of that name (`cpu`, `cuda` or `cuda:N`).

    Raises:
        DeviceUnavailable: it is not there, or the name is none of these.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceUnavailable(f"There is no device named {name!r}; use cuda, cuda:N or cpu.") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise DeviceUnavailable(f"The device {name!r} is not supported; use cuda, cuda:N or cpu.")
    if not torch.cuda.is_available():
        raise DeviceUnavailable(
            f"The model is to run on {name}, but no CUDA device is visible here; "
            "give the agent a GPU (a resource such as nvidia.com/gpu), or set the device to cpu."
        )
    # PyTorch's types say that an index is always there; plain "cuda" has none.
    index: int | None = device.index
    visible = torch.cuda.device_count()
    if index is not None and index >= visible:
        raise DeviceUnavailable(
            f"The model is to run on {name}, but only {visible} CUDA device(s) are visible here."
        )
    return device


def choose_precision(setting: PrecisionSetting, device: torch.device) -> Precision:
    """The precision that a setting means: `auto` is bfloat16 autocast on CUDA and float32 elsewhere."""
    if setting != "auto":
        return setting
    return "bfloat16" if device.type == "cuda" else "float32"


@contextmanager
def inference(device: torch.device, precision: Precision) -> Iterator[None]:
    """Run the model inside: no gradients, in the precision asked for, failures translated.

    float32 is float32: NVIDIA's TensorFloat-32, which PyTorch allows in convolutions by default and keeps
    three decimal digits, is off.  Who wants speed has bfloat16.

    Work on a GPU is asynchronous: results have to be copied to the host inside, or a failure shows up
    elsewhere.

    Raises:
        DeviceOutOfMemory, DeviceLost: see `failures_translated`.
    """
    with (
        failures_translated(device),
        torch.inference_mode(),
        _without_tensor_float_32() if precision == "float32" else nullcontext(),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        yield


@contextmanager
def _without_tensor_float_32() -> Iterator[None]:
    """Have CUDA multiply in full float32 inside, whatever this process allows."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


@contextmanager
def failures_translated(device: torch.device) -> Iterator[None]:
    """Do something with the device inside.

    Raises:
        DeviceOutOfMemory: memory ran out, though PyTorch had given its cached blocks back.
        DeviceLost: the accelerator failed otherwise.
    """
    try:
        yield
    except RuntimeError as error:
        if (failure := device_failure(device, error)) is None:
            raise
        raise failure from error


def device_failure(device: torch.device, error: BaseException) -> DeviceOutOfMemory | DeviceLost | None:
    """What an error says about the device; None where it says nothing about it."""
    if isinstance(error, torch.OutOfMemoryError):
        return DeviceOutOfMemory(
            f"The memory of {device} is full; give the agent a larger GPU, or a smaller model."
        )
    words = isinstance(error, RuntimeError) and any(word in str(error) for word in _CUDA_WORDS)
    if words or isinstance(error, torch.AcceleratorError):
        first_line = str(error).partition("\n")[0]
        return DeviceLost(f"The device {device} failed ({first_line}); the agent has to be started again.")
    return None

"""On which machine a figure was found, with which versions, and when."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("torch", "sam2", "numpy", "pillow", "cvat-sdk", "cvat-cli", "redis")


def machine(device: torch.device) -> dict[str, str | int | float]:
    """What the figures depend on besides the program."""
    described: dict[str, str | int | float] = {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "device": str(device),
    }
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def versions() -> dict[str, str]:
    """Of what takes part, and the commit that was measured where there is one."""
    found = {name: version(name) for name in _PACKAGES}
    found["python"] = platform.python_version()
    found["redis-server"] = _said("redis-server", "--version").partition(" v=")[2].partition(" ")[0]
    found["commit"] = _said("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    return {name: value for name, value in found.items() if value}


def date() -> str:
    """Now, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _said(program: str, *arguments: str) -> str:
    """What a program says on its standard output; nothing where it is missing or fails."""
    if shutil.which(program) is None:
        return ""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""

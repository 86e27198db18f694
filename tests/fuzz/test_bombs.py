"""Little input that would make much of itself: refused before memory is taken or time is spent.

Bounds are wide: memory as Python and numpy count it, processor time ten times what was measured.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from sam2_agent.core import requests, state
from sam2_agent.core.masks import decode_mask
from sam2_agent.core.requests import MAX_OBJECTS, MAX_POINTS, read_acquired
from sam2_agent.core.shapes import read_prompt
from sam2_agent.core.state import MAX_CHARACTERS, MAX_HEAD, MAX_RANGES, PREFIX, Steps
from sam2_agent.core.tracking import MaskPrompt
from sam2_agent.errors import AgentError

MiB = 2**20
FOUR = "x" * MAX_CHARACTERS


def state_text(mask: str = "0,4,0,0,1,1", size: str = "[64,64]", tracked: str = "[]") -> str:
    nonce = "0" * 32
    return (
        f'{PREFIX}{{"frame":0,"mask":[{mask}],"nonce":"{nonce}","shape":"mask","size":{size},"task":1,'
        f'"window":16,"tracked":{tracked}}}'
    )


def largest_state() -> str:
    """A state with the longest mask that is read: columns of single pixels, as on a frame of 1,000 rows."""
    runs = (MAX_HEAD - 200) // 2
    width, height = 1000, runs // 1000
    return state_text(",".join(["1"] * (width * height) + ["0", "0", "999", str(height - 1)]), "[1000,1000]")


def take_up(text: str) -> None:
    """What a request does with a state."""
    found = state.parse(text)
    found.prompt()
    Steps(found.extended(1), "f").name(1)


def zigzag(points: int) -> list[float]:
    return [value for i in range(points // 2) for value in (i % 7000 + 0.1, 3.0 + i % 2 * 16)]


BOMBS: dict[str, tuple[Callable[[], object], int, float]] = {
    "a run of 2^31 pixels": (lambda: decode_mask([0, 2**31, 0, 0, 65534, 32768], (65535, 65535)), 1, 0.1),
    "a run of 2^31 pixels on a small image": (lambda: decode_mask([0, 2**31, 0, 0, 9, 9], (64, 64)), 1, 0.1),
    "runs that overflow": (lambda: decode_mask([2.0**62] * 4 + [0, 0, 9, 9], (64, 64)), 1, 0.1),
    "a huge image": (lambda: read_prompt("polygon", [0, 0, 9, 0, 9, 9], 0, (2**31, 2**31)), 1, 0.1),
    "a polygon far away": (lambda: read_prompt("polygon", [0, 0, 1e300, 0, 9, 1e300], 0, (64, 64)), 1, 0.1),
    "a polygon that crosses everything": (
        lambda: read_prompt("polygon", [0, 0, 9, 4000] * 1500, 0, (7680, 4320)),
        20,
        5,
    ),
    "a polygon with the most points": (
        lambda: read_prompt("polygon", zigzag(MAX_POINTS // 8), 0, (7680, 4320)),
        400,
        10,
    ),
    "a state of 4 MiB": (lambda: state.parse(PREFIX + FOUR), 5, 0.1),
    "a mask in a state on an impossible image": (
        lambda: take_up(state_text("0,2147483648,0,0,65534,32768", "[65535,65535]")),
        1,
        0.1,
    ),
    "the largest state": (lambda: take_up(largest_state()), 64, 10),
    "a state of many runs": (lambda: take_up(state_text(tracked=f"[{'[0,9],' * 5000}[0,9]]")), 16, 2),
    "a state of the most runs": (
        lambda: take_up(state_text(tracked=f"[{','.join(['[0,9]'] * (MAX_RANGES - 1))}]")),
        16,
        2,
    ),
    "a track of two billion frames": (lambda: state.parse(state_text(tracked="[[0,2147483647]]")), 1, 0.1),
    "a deep state": (lambda: state.parse(PREFIX + "[" * 1_000_000), 2, 0.1),
    "100,000 shapes": (
        lambda: requests.parse({"type": "init_tracking", "shapes": [{"type": "mask"}] * 100_000}),
        2,
        0.1,
    ),
    "a shape of many numbers": (
        lambda: requests.parse(
            {
                "type": "init_tracking",
                "task": 1,
                "frame": 0,
                "shapes": [{"type": "mask", "points": [1.0] * (MAX_POINTS + 1)}] * MAX_OBJECTS,
            }
        ),
        64,
        5,
    ),
    "32 states of 4 MiB": (
        lambda: requests.parse({"type": "track", "task": 1, "frame": 0, "states": [FOUR] * MAX_OBJECTS}),
        5,
        1,
    ),
    "a deep request": (
        lambda: read_acquired(b'{"ar_assignment":{"ar_id":"a","ar_params":' + b"[" * 1_000_000),
        2,
        0.5,
    ),
}


@contextmanager
def bounded(mebibytes: float, seconds: float) -> Iterator[None]:
    """Fails where more memory was taken at once, or more processor time."""
    tracemalloc.start()
    try:
        began = time.process_time()
        yield
        took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * MiB
    assert took < seconds


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name: str) -> None:
    set_off, mebibytes, seconds = BOMBS[name]
    with bounded(mebibytes, seconds), suppress(AgentError, ValueError):
        set_off()


def test_the_largest_state_is_one() -> None:
    prompt = state.parse(largest_state()).prompt()
    assert isinstance(prompt, MaskPrompt)
    assert prompt.mask.sum() > MAX_HEAD / 5

"""What one process says reaches the other as it was, however large, and stays as it was."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_agent.adapters.model_channel import LARGE, ROOM, Channel, channel

BOUNDARY = [0, 1, LARGE - 1, LARGE, LARGE + 1, 3 * 1024 * 1024]


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = channel()
    with ours, theirs:
        yield ours, theirs


def noise(size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def open_descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def passed(ends: tuple[Channel, Channel], said: Any) -> Any:
    """Say it at one end, hear it at the other."""
    ends[0].send(said)
    return ends[1].receive()


@pytest.mark.parametrize("size", BOUNDARY)
def test_arrays_of_any_size_arrive_as_they_were(ends: tuple[Channel, Channel], size: int) -> None:
    one, other = noise(size, 1), noise(size, 2).reshape(1, size)
    heard_one, between, heard_other = passed(ends, (one, "words", other))
    assert between == "words"
    assert np.array_equal(heard_one, one)
    assert np.array_equal(heard_other, other)


def test_arrays_that_do_not_lie_in_one_piece_arrive_as_they_were(ends: tuple[Channel, Channel]) -> None:
    picture = noise(100 * 80 * 3).reshape(100, 80, 3)  # what goes over the socket must fit into it
    for view in (picture[:, ::2], picture[::-1], picture.transpose(2, 0, 1), np.asfortranarray(picture)):
        assert np.array_equal(passed(ends, view), view)


def test_what_was_heard_is_the_hearers_own(ends: tuple[Channel, Channel]) -> None:
    """PyTorch warns of memory that it may not write to, and the next question must not change it."""
    first = passed(ends, noise(2 * LARGE, 1))
    answered = passed((ends[1], ends[0]), noise(4 * LARGE, 2))
    passed(ends, noise(8 * LARGE, 3))
    assert first.flags.writeable
    assert np.array_equal(first, noise(2 * LARGE, 1))
    assert np.array_equal(answered, noise(4 * LARGE, 2))


def test_a_frame_does_not_go_through_the_socket(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    frame = noise(3 * 1024 * 1024)
    saying = threading.Thread(target=ours.send, args=(frame,), daemon=True)
    saying.start()
    saying.join(20.0)
    assert not saying.is_alive(), "nobody reads, and a socket does not hold a frame"
    assert np.array_equal(theirs.receive(), frame)


def test_more_than_there_is_room_for_arrives_as_well(ends: tuple[Channel, Channel]) -> None:
    arrays = [noise(ROOM // 2, seed) for seed in range(3)]
    saying = threading.Thread(target=ends[0].send, args=(arrays,), daemon=True)
    saying.start()
    heard = ends[1].receive()
    saying.join()
    assert all(np.array_equal(one, other) for one, other in zip(arrays, heard, strict=True))
    assert os.fstat(ends[0].descriptors[1]).st_size == ROOM


def test_nothing_is_left_open() -> None:
    gc.collect()  # which may close what other tests left
    before = open_descriptors()
    for closed in (True, False):
        ours, theirs = channel()
        ours.send(noise(LARGE))
        assert theirs.receive().nbytes == LARGE
        if closed:
            ours.close()
            theirs.close()
        del ours, theirs
        gc.collect()
        assert open_descriptors() <= before


def test_the_end_is_heard(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.close()
    theirs.wait()
    with pytest.raises(EOFError):
        theirs.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        theirs.send(noise(LARGE))

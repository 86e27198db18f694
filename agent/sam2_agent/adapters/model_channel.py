"""A line between the agent and its model's process, on which arrays go through memory that both of them see.

A socket holds some 200 KB: a frame of 3 MB goes over it in many pieces, and for each of them one end waits
for the other.  So what goes over the socket only describes the arrays, which lie in a file in memory:

    sender                                                   receiver
    arrays ──copied──► memory that both see ──copied──► arrays
    description ─────► socket ────────────────────────► what was said

An end sends when it has heard the other's last word (questions and answers take turns) and has copied what
came with it: so nobody writes where the other still reads.
"""

from __future__ import annotations

import mmap
import os
import pickle  # noqa: TID251  (between two processes of one program; nothing of it is kept)
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

LARGE = 16 * 1024
"""Bytes from which on an array that lies in one piece goes through the memory that both see."""

ROOM = 8 * 1024 * 1024
"""Bytes that this memory may take, for it is kept: more than a frame; prompts of 8K may take the slow way."""

_NO_PROGRAM = 0x8
"""MFD_NOEXEC_SEAL: hosts may refuse files in memory that could be run. Linux before 6.3 does not know it."""

Descriptors: TypeAlias = tuple[int, int]
"""Of an end's socket and of the memory."""


class Channel:
    """One end, which one thread uses at a time."""

    def __init__(self, socket: Connection[Any, Any], memory: int) -> None:
        """Both are this object's from now on."""
        self._socket = socket
        self._memory = memory
        self._seen: mmap.mmap | None = None
        self._let_go = weakref.finalize(self, os.close, memory)

    @classmethod
    def given(cls, descriptors: Descriptors) -> Self:
        """The end that another process made for this one."""
        socket, memory = descriptors
        return cls(Connection(socket), memory)

    @property
    def descriptors(self) -> Descriptors:
        """For the process to which this end is given."""
        return self._socket.fileno(), self._memory

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, said: object) -> None:
        """Say something; raises `OSError` where the other end is closed."""
        large: list[memoryview] = []

        def is_described(buffer: pickle.PickleBuffer) -> bool:
            view = buffer.raw()
            if view.nbytes < LARGE or view.nbytes + sum(other.nbytes for other in large) > ROOM:
                return True
            large.append(view)
            return False

        description = pickle.dumps(said, protocol=5, buffer_callback=is_described)
        sizes = [view.nbytes for view in large]
        seen, start = self._see(sum(sizes)), 0
        for view in large:
            # By NumPy, which meanwhile lets other threads run: the event loop waits for Redis.
            seen[start : start + view.nbytes] = np.frombuffer(view, np.uint8)
            start += view.nbytes
        self._socket.send((sizes, description))

    def receive(self) -> Any:
        """Hear what is said next; raises `EOFError` or `OSError` where the other end is closed."""
        sizes, description = self._socket.recv()
        large: list[NDArray[np.uint8]] = []
        seen, start = self._see(sum(sizes)), 0
        for size in sizes:
            large.append(seen[start : start + size].copy())
            start += size
        return pickle.loads(description, buffers=large)  # noqa: S301  (the other end is this program, too)

    def wait(self) -> None:
        """Return when there is something to hear, be it the end."""
        self._socket.poll(None)

    def close(self) -> None:
        """Let the other end hear that this one is gone."""
        self._socket.close()
        self._seen = None
        self._let_go()

    def _see(self, size: int) -> NDArray[np.uint8]:
        """The memory, as large as the most that was ever sent at once; raises `MemoryError`."""
        if size and (self._seen is None or len(self._seen) < size):
            try:
                if os.fstat(self._memory).st_size < size:
                    os.ftruncate(self._memory, size)
                self._seen = mmap.mmap(self._memory, 0)
            except OSError as error:  # which would seem to be the other end's
                raise MemoryError(f"no memory to share with the model's process: {error}") from error
        return np.frombuffer(self._seen or b"", np.uint8)


def channel() -> tuple[Channel, Channel]:
    """Both ends of a line; one is for another process."""
    ours, theirs = Pipe()
    try:
        memory = os.memfd_create("sam2-agent", os.MFD_CLOEXEC | _NO_PROGRAM)
    except OSError:
        memory = os.memfd_create("sam2-agent")
    return Channel(ours, memory), Channel(theirs, os.dup(memory))

"""A call's body: passed on while it arrives, and kept so that it can be sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol


class Stream(Protocol):
    """What arrives."""

    async def readchunk(self) -> tuple[bytes, bool]:
        """Give the next piece as it came from the connection, at least a byte; nothing at the end."""


class CallerLeftError(Exception):
    """The caller's connection ended before its call had arrived."""


@dataclass(slots=True)
class Body:
    """Chunks as they came; they are never joined, so that nothing is copied."""

    stream: Stream
    length: int
    _chunks: list[bytes] = field(default_factory=list)
    _arrived: int = 0

    async def sent(self) -> AsyncIterator[bytes]:
        """Give all of it, from the beginning.

        Raises:
            CallerLeftError: it ended too early.
        """
        position = 0
        while True:
            while position < len(self._chunks):
                yield self._chunks[position]
                position += 1
            if self._arrived >= self.length:
                return
            await self._next()

    async def _next(self) -> None:
        try:
            chunk, _ = await self.stream.readchunk()
        except Exception as error:
            raise CallerLeftError from error
        if not chunk:
            raise CallerLeftError
        self._chunks.append(chunk)
        self._arrived += len(chunk)

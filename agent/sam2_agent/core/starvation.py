"""Telling calls that are too much for the device from a device that has no memory for any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sam2_agent.errors import DeviceOutOfMemory, RequestRefused

STARVED_AT_MOST = 3
"""So many calls in a row may find too little memory on the device: then it is not the calls."""


class Starvation:
    """Counts the calls in a row for which there was too little memory."""

    def __init__(self) -> None:
        self._starved = 0

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Answer a call inside.

        Raises `RequestRefused` where the device has no memory for it, and `DeviceOutOfMemory`, which ends
        the process, where it had none for those before either.
        """
        try:
            yield
        except DeviceOutOfMemory as full:
            self._starved += 1
            if self._starved >= STARVED_AT_MOST:
                raise
            raise RequestRefused(
                "The tracking agent's device has too little memory for this; track fewer objects at once."
            ) from full
        self._starved = 0

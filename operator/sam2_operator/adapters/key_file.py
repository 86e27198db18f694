"""Keys of the gateway, mounted as files, which may be changed while they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_operator.errors import GatewayKeyError

if TYPE_CHECKING:
    from pathlib import Path

LEAST_OF_DOOR_KEY = 32
"""Characters: what agents are shown is derived from it, and a short one could be guessed."""


def read_key(path: Path, least: int = 1) -> str:
    """Read a key of so many characters or more.

    Raises:
        GatewayKeyError: there is none.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise GatewayKeyError(f"{path} cannot be read ({why}): mount the gateway's Secret.") from error
    if len(key) < least:
        raise GatewayKeyError(f"{path} must have {least} characters or more, and has {len(key)}.")
    return key

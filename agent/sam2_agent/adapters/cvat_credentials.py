"""What the agent signs in to CVAT with: the files of a mounted Secret."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sam2_agent.errors import CVATUnavailable


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access token, or a user name and password."""

    token: str = ""
    username: str = ""
    password: str = ""


def read_credentials(folder: Path) -> Credentials:
    """Read a mounted Secret: the file `token`, or `username` and `password`."""
    found = {}
    for name in ("token", "username", "password"):
        try:
            found[name] = (folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            found[name] = ""
    credentials = Credentials(**found)
    if not credentials.token and not (credentials.username and credentials.password):
        raise credentials_refused(
            f"{folder} holds no credentials; it needs a file token, or the files username and password."
        )
    token = credentials.token
    if not (token.isascii() and token.isprintable()) or " " in token:
        # Sent nevertheless it would end in an error that quotes it.
        raise credentials_refused(
            f"The file token in {folder} holds no access token: it has blanks or special characters."
        )
    return credentials


def credentials_refused(sentence: str) -> CVATUnavailable:
    """Say that the Secret has to be corrected; the agent goes on by itself when it is."""
    return CVATUnavailable(sentence, reason="CredentialsRefused")

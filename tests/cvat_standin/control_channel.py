"""Calls to the control routes of a running stand-in."""

from __future__ import annotations

from pathlib import Path

import urllib3
from pydantic import BaseModel

from tests.cvat_standin.control_models import Created

_CALL_SECONDS = 30


class ControlChannel:
    """A server's `/_standin/`."""

    def __init__(self, url: str, ca_file: Path | None) -> None:
        self._url = url
        authorities = str(ca_file) if ca_file else None
        self._pool = urllib3.PoolManager(
            retries=False, timeout=_CALL_SECONDS, maxsize=4, ca_certs=authorities
        )

    def call(self, method: str, path: str, body: BaseModel | bytes | None = None) -> bytes:
        """Make one call. Raises `AssertionError` with the server's words when it is refused."""
        data = body.model_dump_json().encode() if isinstance(body, BaseModel) else body
        answer = self._pool.request(method, f"{self._url}/_standin{path}", body=data)
        if answer.status >= 400:
            raise AssertionError(f"{method} /_standin{path}: {answer.status} {answer.data.decode()}")
        return answer.data

    def make(self, path: str, body: BaseModel | bytes) -> int:
        """Make something and return its id."""
        return Created.model_validate_json(self.call("POST", path, body)).id

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

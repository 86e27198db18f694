"""A signed-in browser page, as far as its calls to the server go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import urllib3


class RunError(Exception):
    """The server refused or failed a call; the message is its own sentence, as the page shows it."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        """The HTTP status; None when there was no answer."""


class PageSession:
    """Calls by password session, in one workspace. Nothing is repeated behind the caller's back."""

    def __init__(
        self, url: str, *, organization: str | None, ca_file: Path | None, call_seconds: float
    ) -> None:
        """`call_seconds` is the patience with one call."""
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(
            retries=False,
            timeout=urllib3.Timeout(connect=10, read=call_seconds),
            ca_certs=str(ca_file) if ca_file else None,
        )
        self._headers = {"Accept": "application/vnd.cvat+json"}
        if organization is not None:
            self._headers["X-Organization"] = organization

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def login(self, username: str, password: str) -> None:
        """Sign in. Raises `RunError`."""
        answer = self._send("POST", "/api/auth/login", {"username": username, "password": password})
        cookies = SimpleCookie()
        for header in answer.headers.getlist("Set-Cookie"):
            cookies.load(header)
        self._headers["Cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
        self._headers["X-CSRFToken"] = cookies["csrftoken"].value

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path. Raises `RunError`."""
        return _object(self._send("GET", path))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that is answered. Raises `RunError`."""
        return _object(self._send("POST", path, body))

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._pool.request(method, self._url + path, json=body, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise RunError(f"Could not reach the server: {error}") from error
        if answer.status >= 400:
            raise RunError(_sentence(answer), answer.status)
        return answer


def _object(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        data = json.loads(answer.data)
    except ValueError as error:
        raise RunError("The server's answer is not JSON.", answer.status) from error
    if not isinstance(data, dict):
        raise RunError("The server's answer is not a JSON object.", answer.status)
    return data


def _sentence(answer: urllib3.BaseHTTPResponse) -> str:
    """What the page shows of an error: the server's text where there is one."""
    fallback = f"{answer.status} {answer.reason or 'error'}"
    try:
        data = json.loads(answer.data)
    except ValueError:
        return fallback
    if isinstance(data, dict):
        text = data.get("detail") or data.get("message")
        return str(text) if text else json.dumps(data)
    return str(data[0]) if isinstance(data, list) and data else str(data) or fallback

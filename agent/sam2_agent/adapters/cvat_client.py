"""Calls to CVAT as one account, through cvat_sdk's client: authentication, and errors as sentences."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
from cvat_sdk.api_client import ApiClient, Configuration
from cvat_sdk.api_client.exceptions import ApiException
from pydantic import BaseModel, ValidationError

from sam2_agent import VERSION
from sam2_agent.errors import AgentError, CVATUnavailable

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
MAX_RETRY_AFTER = 120.0
"""A longer wait, which CVAT may ask for, would make the loop look dead (`status.STUCK_SECONDS`)."""


class Refusal(AgentError):
    """CVAT itself, not something in front of it, answered 4xx; what that means depends on the call."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"CVAT answered {status}: {detail}")
        self.status = status
        self.detail = detail


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
        raise _refused(
            f"{folder} holds no credentials; it needs a file token, or the files username and password."
        )
    token = credentials.token
    if not (token.isascii() and token.isprintable()) or " " in token:
        # Sent nevertheless it would end in an error that quotes it.
        raise _refused(
            f"The file token in {folder} holds no access token: it has blanks or special characters."
        )
    return credentials


class _Self(BaseModel):
    username: str


class CVATClient:
    """Blocking calls; use it from threads.

    The credentials are read again when their files change and when CVAT refuses them.  `on_answer` is called,
    in whatever thread, whenever CVAT answered a call as it should.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials_dir: Path,
        organization: str,
        ca_file: Path | None,
        on_answer: Callable[[], None],
    ) -> None:
        self._url = url.rstrip("/")
        self._credentials_dir = credentials_dir
        self._organization = organization
        self._ca_file = ca_file
        self.on_answer = on_answer
        self._lock = threading.Lock()
        self._current: tuple[Credentials, ApiClient] | None = None
        self._username: str | None = None

    def get(self, path: str, query: Mapping[str, str | int] | None = None, **parameters: str | int) -> bytes:
        """GET a path whose {placeholders} the parameters fill; return the body."""
        return bytes(self._call("GET", path, parameters, query=query).data)

    def post(self, path: str, body: Mapping[str, Any], **parameters: str | int) -> bytes:
        """POST JSON to a path whose {placeholders} the parameters fill; return the body."""
        return bytes(self._call("POST", path, parameters, body=body).data)

    def stream(self, path: str, *, silence: float, **parameters: str | int) -> urllib3.BaseHTTPResponse:
        """GET a path and return the open response; it fails after so many seconds of silence."""
        return self._call("GET", path, parameters, parse=False, seconds=silence)

    def username(self) -> str | None:
        """The name of the account that these calls are made as, or None where CVAT does not say."""
        if self._username is None:
            try:
                self._username = _Self.model_validate_json(self.get("/api/users/self")).username
            except (Refusal, CVATUnavailable, ValidationError):
                return None
        return self._username

    def _call(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int],
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        parse: bool = True,
        seconds: float = READ_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        send = partial(
            self._send,
            method,
            path,
            parameters=parameters,
            query=query,
            body=body,
            parse=parse,
            seconds=seconds,
        )
        client = self._client()
        response = send(client=client)
        if response.status == 401:
            response.drain_conn()
            response = send(client=self._client(instead_of=client))
        self._check(response)
        return response

    def _client(self, instead_of: ApiClient | None = None) -> ApiClient:
        """Return an authenticated client: a new one where the credentials changed or were refused."""
        with self._lock:
            credentials = read_credentials(self._credentials_dir)
            if self._current is None or self._current[0] != credentials or self._current[1] is instead_of:
                self._username = None
                self._current = (credentials, self._authenticated(credentials))
            return self._current[1]

    def _authenticated(self, credentials: Credentials) -> ApiClient:
        configuration = Configuration(
            host=self._url, ssl_ca_cert=str(self._ca_file) if self._ca_file else None
        )
        # Whoever calls does the retrying; and a redirect, which makes GET of POST, means a wrong address.
        configuration.retries = urllib3.Retry(total=0, raise_on_redirect=False)
        client = ApiClient(configuration)
        client.user_agent = f"sam2-tracker-agent/{VERSION} {client.user_agent}"
        if self._organization:
            client.set_default_header("X-Organization", self._organization)
        if credentials.token:
            configuration.access_token = credentials.token
            return client
        body = {"username": credentials.username, "password": credentials.password}
        response = self._send("POST", "/api/auth/login", client=client, body=body)
        if response.status in (400, 401, 403) and _is_json(response):
            raise _refused(
                f"CVAT does not accept the password of {credentials.username}; correct the Secret."
            )
        self._check(response)
        if "csrftoken" in client.cookies:
            configuration.api_key["csrfHeaderAuth"] = client.cookies["csrftoken"].value
        return client

    def _send(
        self,
        method: str,
        path: str,
        *,
        client: ApiClient,
        parameters: Mapping[str, str | int] | None = None,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        parse: bool = True,
        seconds: float = READ_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        try:
            response: urllib3.BaseHTTPResponse = client.call_api(
                path,
                method,
                path_params=dict(parameters or {}),
                query_params=list((query or {}).items()),
                body=body,
                _parse_response=parse,
                _request_timeout=(CONNECT_SECONDS, seconds),
                _check_status=False,
            )[1]
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise self._unreachable(_why(error)) from error
        return response

    def _check(self, response: urllib3.BaseHTTPResponse) -> None:
        """Return if CVAT did what it was asked."""
        status = response.status
        if 200 <= status < 300:
            self.on_answer()
            return
        # Read to its end first: the connection's next user must not find a rest of this answer.
        detail = _detail(response)
        response.release_conn()
        if 300 <= status < 400:
            raise self._unreachable(f"it redirects to {response.headers.get('Location')}; use that address")
        if status in (408, 425, 429) or status >= 500:
            raise self._unreachable(f"HTTP status {status}", _retry_after(response))
        if status == 413:  # which an ingress in front of CVAT may say as well
            raise Refusal(status, "it is too large for CVAT or its ingress")
        if not _is_json(response):
            raise self._unreachable(
                f"HTTP status {status}, and not from CVAT itself; check the address and ingress"
            )
        if status == 401:
            raise _refused("CVAT does not accept the agent's token; put a valid one into the Secret.")
        raise Refusal(status, detail)

    def _unreachable(self, why: str, retry_after: float | None = None) -> CVATUnavailable:
        return CVATUnavailable(
            f"CVAT at {self._url} does not answer as it should ({why}).",
            reason="CVATUnreachable",
            retry_after=retry_after,
        )


def _refused(sentence: str) -> CVATUnavailable:
    return CVATUnavailable(sentence, reason="CredentialsRefused")


def _is_json(response: urllib3.BaseHTTPResponse) -> bool:
    return "json" in response.headers.get("Content-Type", "")


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds; a date, which CVAT does not send, is ignored."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), MAX_RETRY_AFTER) if text.isascii() and text.isdecimal() else None


def _detail(response: urllib3.BaseHTTPResponse) -> str:
    try:
        body = json.loads(response.data)
    except (ValueError, urllib3.exceptions.HTTPError):
        return ""
    found = body.get("detail", body) if isinstance(body, dict) else body
    return str(found)[:500]


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, Exception) else error).__name__

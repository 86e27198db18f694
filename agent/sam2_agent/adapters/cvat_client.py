"""Calls to CVAT as one account, through cvat_sdk's client: authentication, and errors as sentences."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from cvat_sdk.api_client import ApiClient, Configuration
from cvat_sdk.api_client.exceptions import ApiException
from pydantic import BaseModel, ValidationError

from sam2_agent import VERSION
from sam2_agent.adapters.cvat_credentials import Credentials, credentials_refused, read_credentials
from sam2_agent.adapters.cvat_replies import Refusal, check, is_json, read_body, unreachable, why
from sam2_agent.errors import CVATUnavailable

CONNECT_SECONDS = 10.0
"""To connect, and on a new connection to send the whole body."""

READ_SECONDS = 20.0
"""Of silence: an answer may take longer as long as some of it comes."""


class _Self(BaseModel):
    username: str


class CVATClient:
    """Blocking calls; use it from threads.

    The credentials are read again when their files change and when CVAT refuses them.  `on_answer` is called,
    in whatever thread, whenever CVAT answered a call as it should.  Without `proxy_url` the environment says
    whether there is a proxy (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
    """

    def __init__(
        self,
        url: str,
        *,
        credentials_dir: Path,
        organization: str,
        ca_file: Path | None,
        on_answer: Callable[[], None],
        proxy_url: str | None = None,
        silence: float = READ_SECONDS,
    ) -> None:
        self._url = url.rstrip("/")
        self._credentials_dir = credentials_dir
        self._organization = organization
        self._ca_file = ca_file
        self._proxy_url = proxy_url or _environments_proxy(self._url)
        self.on_answer = on_answer
        self._silence = silence
        self._lock = threading.Lock()
        self._current: tuple[Credentials, ApiClient] | None = None
        self._username: str | None = None

    def get(self, path: str, query: Mapping[str, str | int] | None = None, **parameters: str | int) -> bytes:
        """GET a path whose {placeholders} the parameters fill; return the body, however slow the line is.

        Raises `TooLarge`.
        """
        response = self._call("GET", path, parameters, query=query, parse=False)
        try:
            body = read_body(response, self._url)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self._url, why(error)) from error
        self.on_answer()
        return body

    def post(self, path: str, body: Mapping[str, Any], **parameters: str | int) -> bytes:
        """POST JSON to a path whose {placeholders} the parameters fill; return the body."""
        response = self._call("POST", path, parameters, body=body)
        self.on_answer()
        return bytes(response.data)

    def stream(self, path: str, *, silence: float, **parameters: str | int) -> urllib3.BaseHTTPResponse:
        """GET a path and return the open response; it fails after so many seconds of silence."""
        response = self._call("GET", path, parameters, parse=False, seconds=silence)
        self.on_answer()
        return response

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
        seconds: float | None = None,
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
        if response.status == 401 and (another := self._another(client, response)) is not client:
            response = send(client=another)
        check(response, self._url)
        return response

    def _another(self, client: ApiClient, refusal: urllib3.BaseHTTPResponse) -> ApiClient:
        """Return a client for which CVAT may not refuse; the same where there is no other."""
        another: ApiClient | None = None
        try:
            another = self._client(instead_of=client)
        finally:
            if another is not client:
                refusal.drain_conn()  # nobody will read it
        return another

    def _client(self, instead_of: ApiClient | None = None) -> ApiClient:
        """Return an authenticated client: a new one where the credentials changed or a session has ended."""
        with self._lock:
            credentials = read_credentials(self._credentials_dir)
            ended = self._current is not None and self._current[1] is instead_of and not credentials.token
            if self._current is None or self._current[0] != credentials or ended:
                self._username = None
                self._current = (credentials, self._authenticated(credentials))
            return self._current[1]

    def _authenticated(self, credentials: Credentials) -> ApiClient:
        configuration = Configuration(
            host=self._url, ssl_ca_cert=str(self._ca_file) if self._ca_file else None
        )
        configuration.proxy = self._proxy_url
        if self._proxy_url and urlsplit(self._proxy_url).username:
            configuration.proxy_headers = _login(self._proxy_url)
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
        if response.status in (400, 401, 403) and is_json(response):
            raise credentials_refused(
                f"CVAT does not accept the password of {credentials.username}; correct the Secret."
            )
        try:
            check(response, self._url)
        except Refusal as refusal:
            raise unreachable(self._url, f"HTTP status {refusal.status} to a login") from refusal
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
        seconds: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        try:
            response: urllib3.BaseHTTPResponse = client.call_api(
                path,
                method,
                path_params=dict(parameters or {}),
                query_params=list((query or {}).items()),
                body=body,
                _parse_response=parse,
                _request_timeout=(CONNECT_SECONDS, seconds or self._silence),
                _check_status=False,
            )[1]
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise unreachable(self._url, why(error)) from error
        return response


def _environments_proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL; the SDK does not ask it."""
    target = urlsplit(url)
    return None if proxy_bypass(target.hostname or "") else getproxies().get(target.scheme)


def _login(proxy_url: str) -> dict[str, str]:
    parts = urlsplit(proxy_url)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return dict(urllib3.make_headers(proxy_basic_auth=login))

"""One account's connections to one CVAT, over CVAT's own SDK: log in, ask, say what went wrong.

Nothing is retried here, neither by the SDK nor by urllib3: whether a request may be repeated is decided by
who knows what it does. Only a login that has expired is made anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3
from cvat_sdk.api_client import ApiClient, Configuration
from cvat_sdk.api_client.exceptions import ApiException

from sam2_operator.adapters.cvat.answers import Answer, refusal, unreachable
from sam2_operator.adapters.cvat.causes import one_line, root_cause
from sam2_operator.adapters.cvat.pools import connection_pools
from sam2_operator.core.observed import CvatAccess, PasswordCredentials, TokenCredentials
from sam2_operator.errors import (
    CredentialsRefusedError,
    CvatError,
    CvatTrustError,
    ForeignAnswerError,
    InvalidCertificatesError,
    OrganizationUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sam2_operator.core.ports import Clock


class Connection:
    """A login and its connections; for one thread at a time."""

    def __init__(self, access: CvatAccess, clock: Clock, seconds: tuple[float, float]) -> None:
        self._access, self._clock, self._seconds = access, clock, seconds
        self._client: ApiClient | None = None

    def close(self) -> None:
        """Close the connections and forget the login."""
        if self._client is not None:
            self._client.rest_client.pool_manager.clear()
            self._client = None

    def ask(
        self, verb: str, path: str, *, query: dict[str, Any] | None = None, body: dict[str, Any] | None = None
    ) -> Answer:
        """Make one request; with a password, log in first and once more when the login has expired.

        Raises:
            CvatError: there was no answer, or not that which was asked for.
        """
        fresh = self._client is None
        try:
            return self._once(verb, path, query, body)
        except CredentialsRefusedError:
            self.close()
            if fresh or isinstance(self._access.credentials, TokenCredentials):
                raise
        return self._once(verb, path, query, body)

    def _once(
        self, verb: str, path: str, query: dict[str, Any] | None, body: dict[str, Any] | None
    ) -> Answer:
        client = self._client or self._log_in()
        answer = self._exchange(
            lambda: client.call_api(
                path,
                verb,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json"},
                body=body,
                _check_status=False,
                _request_timeout=self._seconds,
            )
        )
        self._client = client
        if answer.status >= 400:
            raise self._refused(verb, path, answer)
        return answer

    def _log_in(self) -> ApiClient:
        access = self._access
        if isinstance(access.credentials, TokenCredentials) and not _fits_a_header(access.credentials.token):
            raise CredentialsRefusedError(
                "The token is not one line of plain letters, digits and signs: correct the Secret that "
                "spec.cvat.credentialsSecretRef names."
            )
        configuration = Configuration(host=access.url.rstrip("/"))
        client = ApiClient(configuration)
        try:
            client.rest_client.pool_manager = connection_pools(access, self._clock.monotonic)
        except InvalidCertificatesError as error:
            raise CvatTrustError(str(error)) from error
        client.default_headers["X-Organization"] = access.organization
        if isinstance(access.credentials, TokenCredentials):
            configuration.access_token = access.credentials.token
        else:
            self._log_in_by_password(client, access.credentials)
        return client

    def _log_in_by_password(self, client: ApiClient, credentials: PasswordCredentials) -> None:
        login = {"username": credentials.username, "password": credentials.password}
        answer = self._exchange(
            lambda: client.call_api(
                "/api/auth/login", "POST", body=login, _check_status=False, _request_timeout=self._seconds
            )
        )
        if answer.status == 400:
            raise CredentialsRefusedError(
                f"CVAT at {self._access.url} refuses the user name {credentials.username} with its password: "
                "correct them in the Secret that spec.cvat.credentialsSecretRef names."
            )
        if answer.status > 400:
            raise self._refused("POST", "/api/auth/login", answer)
        token = client.cookies.get("csrftoken")
        if "sessionid" not in client.cookies or token is None:
            raise ForeignAnswerError(
                f"{self._access.url} answered a login without a session: it may not be CVAT."
            )
        client.configuration.api_key["csrfHeaderAuth"] = token.value

    def _exchange(self, send: Callable[[], tuple[Any, Any]]) -> Answer:
        try:
            _, response = send()
            return Answer(
                response.status, response.headers.get("Content-Type", ""), response.data, response.headers
            )
        except ApiException as error:
            raise unreachable(self._access.url, one_line(error.reason)) from error
        except AttributeError as error:
            # The SDK stumbles over errors of TLS, which it wraps without a body and then decodes the body.
            if not isinstance(error.__context__, ApiException):
                raise
            raise unreachable(self._access.url, one_line(error.__context__.reason)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(self._access.url, root_cause(error)) from error
        except ValueError as error:
            # Its text may quote a header, and with it the credentials.
            raise unreachable(self._access.url, type(error).__name__) from error

    def _refused(self, verb: str, path: str, answer: Answer) -> CvatError:
        if answer.says("organization") and answer.status in {403, 404}:
            return OrganizationUnknownError(unknown_organization(self._access))
        return refusal(self._access.url, verb, path, answer)


def unknown_organization(access: CvatAccess) -> str:
    """Say that the account has no such organization."""
    return (
        f"CVAT at {access.url} has no organization {access.organization!r} that the account belongs to. Make "
        "it, add the account to it, or make the tracker anew with the right spec.cvat.organization."
    )


def _fits_a_header(token: str) -> bool:
    return token.isascii() and token.isprintable()

"""CVAT's functions, over CVAT's own SDK.

Sessions are kept and shared: trackers of one account in one CVAT use one login and one pool of connections.
Nothing is retried here, neither by the SDK nor by urllib3: whether a request may be repeated is decided by
who knows what it does.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any

import urllib3
from cvat_sdk.api_client import ApiClient, Configuration
from cvat_sdk.api_client.exceptions import ApiException

from sam2_operator.adapters.cvat.answers import Answer, parsed, refusal, unreachable
from sam2_operator.adapters.cvat.causes import one_line, root_cause
from sam2_operator.adapters.cvat.documents import (
    FunctionDocument,
    FunctionPage,
    OrganizationPage,
    OwnerDocument,
)
from sam2_operator.adapters.cvat.pools import connection_pools
from sam2_operator.adapters.cvat.restraint import Restraint
from sam2_operator.core.observed import CvatAccess, Function, PasswordCredentials, TokenCredentials, User
from sam2_operator.errors import (
    CredentialsRefusedError,
    CvatError,
    CvatTrustError,
    ForeignAnswerError,
    InvalidCertificatesError,
    NotFoundError,
    OrganizationUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sam2_operator.core.functions import Fields
    from sam2_operator.core.ports import Clock, CvatSession

SECONDS = (5.0, 20.0)
"""To connect and between bytes: well below the settle time of a registration."""
_PAGE_SIZE = 100
_MAX_PAGES = 1000
_MAX_SESSIONS = 256


class SdkCvat:
    """The port `Cvat`."""

    def __init__(self, clock: Clock, seconds: tuple[float, float] = SECONDS) -> None:
        self._clock, self._seconds = clock, seconds
        self._lock = Lock()
        self._sessions: OrderedDict[CvatAccess, SdkSession] = OrderedDict()

    def session(self, access: CvatAccess) -> CvatSession:
        """Give the session of an account; the least recently used are closed when there are many."""
        with self._lock:
            session = self._sessions.pop(access, None) or SdkSession(access, self._clock, self._seconds)
            self._sessions[access] = session
            surplus = [self._sessions.popitem(last=False)[1]] if len(self._sessions) > _MAX_SESSIONS else []
        for old in surplus:
            old.close()
        return session

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            sessions, self._sessions = self._sessions, OrderedDict()
        for session in sessions.values():
            session.close()


class SdkSession:
    """The port `CvatSession`; safe to use from several threads, one request at a time."""

    def __init__(self, access: CvatAccess, clock: Clock, seconds: tuple[float, float]) -> None:
        self._access, self._clock, self._seconds = access, clock, seconds
        self._restraint = Restraint(clock, slow_seconds=seconds[0] / 2)
        self._lock = RLock()
        self._client: ApiClient | None = None

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.rest_client.pool_manager.clear()
                self._client = None

    def user(self) -> User:
        """Give the account."""
        answer = self._ask("GET", "/api/users/self")
        found = parsed(OwnerDocument, answer)
        return User(found.id, found.username)

    def function(self, function_id: int) -> Function:
        """Give a function; `NotFoundError` only when CVAT itself says that there is none."""
        try:
            return parsed(FunctionDocument, self._ask("GET", f"/api/functions/{function_id}")).function()
        except NotFoundError:
            self._require_organization()
            raise

    def functions(self) -> tuple[Function, ...]:
        """Give all functions that the account sees in its organization."""
        found: dict[int, Function] = {}
        for page in range(1, _MAX_PAGES):
            query = {"page": page, "page_size": _PAGE_SIZE, "sort": "id"}
            answer = parsed(FunctionPage, self._ask("GET", "/api/functions", query=query))
            found |= {each.id: each.function() for each in answer.results}
            if answer.next is None:
                return tuple(found.values())
        raise ForeignAnswerError(
            f"{self._access.url} lists functions without end: it does not behave like CVAT."
        )

    def register(self, fields: Fields) -> int:
        """Make a function and give its id."""
        body = {
            "provider": "native",
            "kind": "tracker",
            "name": fields.name,
            "visibility": fields.visibility,
            "supported_shape_types": list(fields.shape_types),
        }
        answer = self._ask("POST", "/api/functions", body=body)
        try:
            return parsed(FunctionDocument, answer).id
        except ForeignAnswerError as error:
            # Whatever answered "done" may stand in front of a CVAT that did it.
            raise unreachable(self._access.url, str(error)) from error

    def delete(self, function_id: int) -> None:
        """Delete a function."""
        try:
            self._ask("DELETE", f"/api/functions/{function_id}")
        except NotFoundError:
            self._require_organization()
            raise

    def _require_organization(self) -> None:
        """Tell a function that is gone from an organization that is gone, where everything is 404."""
        slug = self._access.organization
        if slug:
            page = parsed(OrganizationPage, self._ask("GET", "/api/organizations", query={"slug": slug}))
            if slug.lower() not in {each.slug.lower() for each in page.results}:
                raise OrganizationUnknownError(_unknown_organization(self._access))

    def _ask(
        self, verb: str, path: str, *, query: dict[str, Any] | None = None, body: dict[str, Any] | None = None
    ) -> Answer:
        """Make one request; with a password, log in first and once more when the login has expired."""
        with self._lock, self._restraint.asking():
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
            return OrganizationUnknownError(_unknown_organization(self._access))
        return refusal(self._access.url, verb, path, answer)


def _unknown_organization(access: CvatAccess) -> str:
    return (
        f"CVAT at {access.url} has no organization {access.organization!r} that the account belongs to. Make "
        "it, add the account to it, or make the tracker anew with the right spec.cvat.organization."
    )


def _fits_a_header(token: str) -> bool:
    return token.isascii() and token.isprintable()

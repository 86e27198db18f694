"""Kubernetes' HTTP API: JSON in, JSON out, errors translated. Knows paths and verbs, nothing of trackers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import urllib3
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config import ConfigException

from sam2_operator.adapters.bounded import Bounds, whole
from sam2_operator.adapters.kube.answers import NotFoundError, UnauthorizedError, parsed
from sam2_operator.core.naming import FIELD_MANAGER
from sam2_operator.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sam2_operator.core.observed import Manifest

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_MAX_BYTES = 256 << 20
_LEAST_SECONDS = 0.1

Prepared: TypeAlias = tuple[Any, ...]
"""What the client library makes of a request."""


class _SilenceError(KubernetesError):
    """No answer, or not all of it: what was asked may or may not have been done."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the API server is waited for, in seconds."""

    connect: float = 5.0
    read: float = 8.0
    """Of a read that gets no answer; it is then tried once more."""
    write: float = 20.0
    """Of a write that gets no answer, admission webhooks included; it is never sent twice."""
    call: float = 25.0
    """Of everything together."""


@dataclass(frozen=True, slots=True)
class KubeApi:
    """One API server as one account. A call ends in bounded time whatever the network does.

    Connections that went silent (a node or a proxy that forwards nothing and tells nobody) look like those
    that work. One that gives no answer in time takes all others with it: they lead the same way, and to try
    each of them in turn would take minutes. Only reads are tried again here, once; whoever asked for a write
    looks first what became of it.
    """

    client: ApiClient
    again: Callable[[], Configuration] | None = None
    """Reads the credentials anew, when they are refused."""
    patience: Patience = Patience()
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def of(
        cls,
        configuration: Configuration,
        again: Callable[[], Configuration] | None = None,
        patience: Patience | None = None,
    ) -> Self:
        """Connect, under the operator's name in the API server's audit log."""
        configuration.retries = False
        client = ApiClient(configuration)
        client.user_agent = FIELD_MANAGER
        return cls(client, again, patience or Patience())

    def get(self, path: str, **query: str) -> Manifest | None:
        """Read; None when there is nothing."""
        try:
            return self.call("GET", path, query=query)
        except NotFoundError:
            return None

    def pages(self, path: str, **query: str) -> list[Manifest]:
        """Read a list in pages."""
        return self._pages(path, query, JSON)

    def names(self, path: str) -> list[Manifest]:
        """Read a list of which only the metadata is of interest."""
        return self._pages(path, {}, _METADATA)

    def _pages(self, path: str, query: dict[str, str], accept: str) -> list[Manifest]:
        items: list[Manifest] = []
        token = ""
        while True:
            full = {**query, "limit": "500", **({"continue": token} if token else {})}
            page = self.call("GET", path, query=full, accept=accept)
            items.extend(page.get("items") or [])  # null, when there are none
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return items

    def apply(self, path: str, wanted: Manifest, manager: str = FIELD_MANAGER) -> Manifest:
        """Server-side apply; what others set of the wanted fields is taken over."""
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        return self.call("PATCH", path, query=query, body=wanted, content_type=APPLY)

    def call(
        self,
        verb: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Manifest:
        """Make one request.

        Raises:
            NotFoundError: 404, there is no such object.
            NotServedError: 404, there is no such kind.
            ConflictError: 409, somebody else was faster.
            InvalidObjectError: 400, 403 by an admission plugin, 422.
            UnauthorizedError: 401, also with credentials that were just read.
            KubernetesError: anything else, also no answer at all.
        """
        headers = {"Accept": accept, "Content-Type": content_type}
        deadline = self.monotonic() + self.patience.call
        credentials = dict(self.client.configuration.api_key)

        def once() -> Manifest:
            prepared = self._prepared(verb, path, query or {}, headers, body)
            return parsed(verb, path, *self._exchange(verb, path, prepared, deadline))

        try:
            return once()
        except _SilenceError:
            self.client.rest_client.pool_manager.clear()
            if verb != "GET" or self.monotonic() >= deadline:
                raise
        except UnauthorizedError:
            if not self._has_others_than(credentials):
                raise
        return once()

    def _prepared(
        self, verb: str, path: str, query: dict[str, str], headers: dict[str, str], body: Manifest | None
    ) -> Prepared:
        try:
            prepared: Prepared = self.client.param_serialize(
                verb,
                path,
                query_params=list(query.items()),
                header_params=dict(headers),
                body=body,
                auth_settings=["BearerToken"],
            )
        except (ConfigException, OSError) as error:
            raise UnauthorizedError(f"The token for the API server cannot be read: {error}") from error
        return prepared

    def _exchange(self, verb: str, path: str, prepared: Prepared, deadline: float) -> tuple[int, bytes]:
        began = self.monotonic()
        left = max(deadline - began, _LEAST_SECONDS)
        silence = self.patience.read if verb == "GET" else self.patience.write
        timeout = (min(left, self.patience.connect), min(left, silence))
        try:
            answer = self.client.call_api(*prepared, _request_timeout=timeout)
            return answer.status, whole(answer.response, Bounds(_MAX_BYTES, left, self.monotonic), began)
        except ApiException as error:
            raise KubernetesError(
                f"The API server cannot be used for {verb} {path}: {error.reason}"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _SilenceError(f"The API server did not answer {verb} {path}: {error}") from error

    def _has_others_than(self, refused: dict[str, str]) -> bool:
        """Read the credentials anew: the kubelet replaces a pod's token long before it expires."""
        if self.again is None:
            return False
        mine, fresh = self.client.configuration, self.again()
        mine.api_key, mine.refresh_api_key_hook = fresh.api_key, fresh.refresh_api_key_hook
        return bool(fresh.api_key != refused)

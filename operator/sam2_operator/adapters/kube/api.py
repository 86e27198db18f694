"""Kubernetes' HTTP API: JSON in, JSON out, errors translated. Knows paths and verbs, nothing of trackers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import urllib3
from kubernetes.client import ApiClient, ApiException, Configuration

from sam2_operator.core.naming import FIELD_MANAGER
from sam2_operator.errors import (
    ConflictError,
    InvalidObjectError,
    KubernetesError,
    NamespaceTerminatingError,
)

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

_TIMEOUT = (5.0, 20.0)
"""Seconds to connect and between bytes."""


class NotFoundError(KubernetesError):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class KubeApi:
    """One API server as one account."""

    client: ApiClient

    @classmethod
    def of(cls, configuration: Configuration) -> Self:
        """Connect, under the operator's name in the API server's audit log."""
        client = ApiClient(configuration)
        client.user_agent = FIELD_MANAGER
        return cls(client)

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
            NotFoundError: 404.
            ConflictError: 409, somebody else was faster.
            InvalidObjectError: 400, 403 by an admission plugin, 422.
            KubernetesError: anything else, also no answer at all.
        """
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            prepared = self.client.param_serialize(
                verb,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self.client.call_api(*prepared, _request_timeout=_TIMEOUT)
            data = answer.read()
        except ApiException as error:
            raise KubernetesError(
                f"The API server cannot be used for {verb} {path}: {error.reason}"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise KubernetesError(f"The API server did not answer {verb} {path}: {error}") from error
        if answer.status < 300:
            return _json(data)
        raise _error(verb, path, answer.status, data)


def _json(data: bytes | None) -> Manifest:
    parsed: Any = json.loads(data or b"{}")
    return parsed if isinstance(parsed, dict) else {}


def _error(verb: str, path: str, status: int, data: bytes | None) -> KubernetesError:
    try:
        answer = _json(data)
    except ValueError:
        answer = {}
    message = answer.get("message") or f"status {status}"
    causes = [cause.get("reason") for cause in (answer.get("details") or {}).get("causes", [])]
    sentence = f"The API server refused {verb} {path}: {message}"
    if status == 404:
        return NotFoundError(sentence)
    if status == 409:
        return ConflictError(sentence)
    if "NamespaceTerminating" in causes:
        return NamespaceTerminatingError(sentence)
    if status in {400, 422} or (status == HTTPStatus.FORBIDDEN and not _is_missing_right(message)):
        return InvalidObjectError(str(message))
    return KubernetesError(sentence)


def _is_missing_right(message: str) -> bool:
    """Tell a right that the operator lacks from an admission plugin that refuses the object."""
    return " cannot " in message and " resource " in message

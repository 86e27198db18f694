"""What the API server's answers mean: an object, or an error of the operator's family."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sam2_operator.errors import (
    ConflictError,
    InvalidObjectError,
    KubernetesError,
    NamespaceTerminatingError,
)

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest


class NotFoundError(KubernetesError):
    """There is no such object."""


class NotServedError(KubernetesError):
    """The API server knows no such kind (404 without a Status): which objects there are, it does not tell."""


class MissingRightError(KubernetesError):
    """The account of this process may not do this (403)."""


class UnauthorizedError(KubernetesError):
    """The API server does not accept these credentials (401): nothing was done."""


def parsed(verb: str, path: str, status: int, data: bytes) -> Manifest:
    """Give the object that was answered.

    Raises:
        KubernetesError: or one of its kinds: it was an error, or no answer of an API server.
    """
    try:
        answer: Any = json.loads(data or b"{}")
    except ValueError:
        answer = None
    if isinstance(answer, dict) and status < 300:
        return answer
    if status < 300:
        raise KubernetesError(f"Something else than an API server answered {verb} {path}: no JSON object.")
    refusal = answer if isinstance(answer, dict) else {}
    if status == HTTPStatus.NOT_FOUND and refusal.get("kind") != "Status":
        raise NotServedError(
            f"The API server does not serve {path}. If this is a SAM2Tracker's, its CustomResourceDefinition "
            "is missing: `helm upgrade` installs it."
        )
    raise _refusal(verb, path, status, refusal)


_KINDS: dict[int, type[KubernetesError]] = {404: NotFoundError, 409: ConflictError}


def _refusal(verb: str, path: str, status: int, answer: Manifest) -> KubernetesError:
    message = str(answer.get("message") or f"status {status}")
    causes = [cause.get("reason") for cause in (answer.get("details") or {}).get("causes") or []]
    sentence = f"The API server refused {verb} {path}: {message}"
    if status == 401:
        return UnauthorizedError(
            f"The API server does not know this account (401 for {verb} {path}): its token has expired, or "
            "its ServiceAccount was deleted: restore that and restart the operator's pod."
        )
    if status in _KINDS:
        return _KINDS[status](sentence)
    if "NamespaceTerminating" in causes:
        return NamespaceTerminatingError(sentence)
    if status == HTTPStatus.FORBIDDEN and _is_missing_right(message):
        return MissingRightError(f"{sentence}. Give this account the rights listed in docs/operator.md.")
    if status in {400, 403, 422}:
        return InvalidObjectError(str(message))
    return KubernetesError(sentence)


def _is_missing_right(message: str) -> bool:
    """Tell a right that the operator lacks from an admission plugin that refuses the object."""
    return " cannot " in message and " resource " in message

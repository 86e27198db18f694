"""Errors as Django REST framework, and thus CVAT, answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer that is an error: status, JSON body and headers."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def not_found(kind: str) -> ApiError:
    """The object does not exist (any more)."""
    return ApiError(404, {"detail": f"No {kind} matches the given query."})


def forbidden(detail: str = "You do not have permission to perform this action.") -> ApiError:
    """The user is known and may not do this."""
    return ApiError(403, {"detail": detail})


def unauthenticated(detail: str = "Authentication credentials were not provided.") -> ApiError:
    """Nobody we know asks."""
    return ApiError(401, {"detail": detail}, {"WWW-Authenticate": "Bearer"})


def invalid(field: str, message: str) -> ApiError:
    """One field of the body is wrong."""
    return ApiError(400, {field: [message]})


def refused(message: str) -> ApiError:
    """The request as a whole is wrong; a validation error without a field is a bare list."""
    return ApiError(400, [message])

"""Accounts, functions and requests as CVAT's JSON, field for field as its OpenAPI document has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.cvat_standin.accounts import AccessToken, Organization, User
from tests.cvat_standin.clock import Clock
from tests.cvat_standin.functions import Function
from tests.cvat_standin.queue import AnnotationRequest

Json = dict[str, Any]


def date(moment: datetime) -> str:
    """A date as Django REST framework writes it."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def basic_user(user: User, base: str) -> Json:
    """Schema `BasicUser`."""
    return {
        "url": f"{base}/api/users/{user.id}",
        "id": user.id,
        "username": user.username,
        "first_name": "",
        "last_name": "",
    }


def full_user(user: User, base: str) -> Json:
    """Schema `User`."""
    return basic_user(user, base) | {
        "email": user.email,
        "groups": ["admin" if user.superuser else "user"],
        "is_staff": user.superuser,
        "is_superuser": user.superuser,
        "is_active": user.active,
        "last_login": None,
        "date_joined": date(user.joined),
        "has_analytics_access": user.superuser,
    }


def organization(item: Organization, base: str) -> Json:
    """Schema `OrganizationRead`."""
    return {
        "id": item.id,
        "slug": item.slug,
        "name": item.name,
        "description": item.description,
        "created_date": date(item.created),
        "updated_date": date(item.created),
        "contact": {},
        "owner": basic_user(item.owner, base),
    }


def access_token(token: AccessToken, base: str, *, with_value: bool = False) -> Json:
    """Schema `AccessTokenRead`; the value only where it is made."""
    shown = {
        "id": token.id,
        "name": token.name,
        "created_date": date(token.created),
        "updated_date": date(token.created),
        "expiry_date": date(token.expires) if token.expires else None,
        "last_used_date": None,
        "read_only": token.read_only,
        "owner": basic_user(token.owner, base),
    }
    return shown | ({"value": token.value} if with_value else {})


def function(item: Function, base: str) -> Json:
    """Schema `Function`."""
    return {
        "id": item.id,
        "provider": item.provider,
        "name": item.name,
        "kind": item.kind,
        "labels_v2": list(item.labels),
        "supported_shape_types": list(item.supported_shape_types),
        "created_date": date(item.created),
        "updated_date": date(item.created),
        "owner": basic_user(item.owner, base),
        "organization": item.organization.id if item.organization else None,
        "visibility": item.visibility,
        **item.options,
    }


def annotation_request(request: AnnotationRequest, clock: Clock) -> Json:
    """Schema `AnnotationRequest`."""

    def instant(moment: float | None) -> str | None:
        return None if moment is None else date(clock.date_at(moment))

    return {
        "id": request.id,
        "function": {"id": request.function_id, "task": request.params.get("task")},
        "status": request.status,
        "progress": round(100 * request.progress),
        "enqueued": instant(request.enqueued),
        "started": instant(request.started),
        "ended": instant(request.ended),
        "exc_info": request.exc_info,
    }

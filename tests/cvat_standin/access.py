"""Who may see and do what: pure decisions on users, organizations and things they own.

CVAT decides by policies; these are the parts that an agent and an annotator meet. Not public, and assumed
here: a function made in an organization may be used by all its members, a public one by everybody, and its
queue may be served by its owner, the organization's maintainers and superusers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tests.cvat_standin.accounts import Organization, User
from tests.cvat_standin.errors import ApiError, forbidden

Workspace = Literal["any", "personal", "organization"]


class Owned(Protocol):
    """Something with an owner that may belong to an organization."""

    @property
    def owner(self) -> User: ...
    @property
    def organization(self) -> Organization | None: ...


class SharedFunction(Owned, Protocol):
    """A function as far as access to it goes."""

    @property
    def visibility(self) -> str: ...


class AssignedTask(Owned, Protocol):
    """A task as far as access to it goes."""

    @property
    def assignees(self) -> list[User]: ...


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks, and in which workspace: lists hold what is in it, new things are made in it."""

    user: User
    workspace: Workspace
    organization: Organization | None

    def in_workspace(self, item: Owned) -> bool:
        """Whether a list asked for in this workspace may contain the item."""
        return self.workspace == "any" or item.organization is self.organization


def require_member(user: User, organization: Organization) -> None:
    """Raise `ApiError` 403 in CVAT's words unless the user is in the organization."""
    if not user.superuser and user.id not in organization.roles:
        raise ApiError(403, {"message": "You should be an active member in the organization"})


def _governs(user: User, item: Owned) -> bool:
    organization = item.organization
    if user.superuser:
        return True
    if organization is None:
        return item.owner is user
    role = organization.roles.get(user.id)
    return role in {"maintainer", "owner"} or (role is not None and item.owner is user)


def may_use_function(user: User, function: SharedFunction) -> bool:
    """Whether the user sees the function and may run it."""
    organization = function.organization
    shared = organization is not None and user.id in organization.roles
    return function.visibility == "public" or shared or _governs(user, function)


def may_see_task(user: User, task: AssignedTask) -> bool:
    """Whether the user may read the task and its frames."""
    member = task.organization is None or user.id in task.organization.roles
    return _governs(user, task) or (member and any(assignee is user for assignee in task.assignees))


def require_function_use(user: User, function: SharedFunction) -> None:
    """Raise `ApiError` 403 unless the user may use the function."""
    if not may_use_function(user, function):
        raise forbidden()


def require_function_control(user: User, function: SharedFunction) -> None:
    """Raise `ApiError` 403 unless the user may delete the function and serve its queue."""
    if not _governs(user, function):
        raise forbidden()


def require_task(user: User, task: AssignedTask) -> None:
    """Raise `ApiError` 403 unless the user may read the task."""
    if not may_see_task(user, task):
        raise forbidden()

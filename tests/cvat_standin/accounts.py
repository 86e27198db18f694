"""Users, organizations, access tokens and sessions: plain state, no HTTP."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Literal

from tests.cvat_standin.errors import ApiError, invalid, not_found

Role = Literal["worker", "supervisor", "maintainer", "owner"]


@dataclass(slots=True)
class User:
    """An account; the password never leaves this object."""

    id: int
    username: str
    joined: datetime
    password: str | None = field(default=None, repr=False)
    email: str = ""
    superuser: bool = False
    active: bool = True


@dataclass(slots=True)
class Organization:
    """An organization and the roles of its members, by user id."""

    id: int
    slug: str
    name: str
    description: str
    owner: User
    created: datetime
    roles: dict[int, Role] = field(default_factory=dict)


@dataclass(slots=True)
class AccessToken:
    """A personal access token; `value` is shown once, at creation."""

    id: int
    name: str
    owner: User
    created: datetime
    value: str = field(repr=False)
    read_only: bool = False
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What a password login gives: a session and its CSRF secret, both cookies, and the old API key."""

    user: User
    session_id: str = field(repr=False)
    csrf_token: str = field(repr=False)
    key: str = field(repr=False)


class Accounts:
    """Everyone the server knows and everything that identifies them."""

    def __init__(self) -> None:
        self._user_ids = count(1)
        self._organization_ids = count(1)
        self._token_ids = count(1)
        self.users: dict[int, User] = {}
        self.organizations: dict[int, Organization] = {}
        self.tokens: dict[int, AccessToken] = {}
        self._sessions: dict[str, Session] = {}

    def add_user(
        self,
        username: str,
        *,
        now: datetime,
        password: str | None = None,
        email: str = "",
        superuser: bool = False,
    ) -> User:
        """A new account. Raises `ApiError` 400 if the name is taken."""
        if any(user.username == username for user in self.users.values()):
            raise invalid("username", "A user with that username already exists.")
        user = User(next(self._user_ids), username, now, password, email, superuser)
        self.users[user.id] = user
        return user

    def user_named(self, username: str) -> User:
        """The account of that name. Raises `ApiError` 404."""
        for user in self.users.values():
            if user.username == username:
                return user
        raise not_found("User")

    def set_password(self, user: User, password: str | None) -> None:
        """Change the password, which ends the user's sessions."""
        user.password = password
        self.end_sessions(user)

    def login(self, username: str, password: str) -> Session:
        """Start a session. Raises `ApiError` 400 for a wrong name or password, as CVAT does."""
        for user in self.users.values():
            if user.username == username and user.active and user.password == password:
                session = Session(user, secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(20))
                self._sessions[session.session_id] = session
                return session
        raise ApiError(400, {"non_field_errors": ["Unable to log in with provided credentials."]})

    def session(self, session_id: str) -> Session | None:
        """The session of a cookie, if it lives."""
        return self._sessions.get(session_id)

    def session_of_key(self, key: str) -> Session | None:
        """The session whose login gave this API key, if it lives."""
        return next((session for session in self._sessions.values() if session.key == key), None)

    def logout(self, session_id: str) -> None:
        """End one session; nothing happens if it is gone."""
        self._sessions.pop(session_id, None)

    def end_sessions(self, user: User) -> None:
        """End all sessions of a user."""
        self._sessions = {key: session for key, session in self._sessions.items() if session.user is not user}

    def add_token(
        self,
        owner: User,
        *,
        now: datetime,
        name: str = "token",
        read_only: bool = False,
        expires: datetime | None = None,
        value: str | None = None,
    ) -> AccessToken:
        """A new access token; its value is random unless given."""
        token = AccessToken(
            next(self._token_ids), name, owner, now, value or secrets.token_urlsafe(32), read_only, expires
        )
        self.tokens[token.id] = token
        return token

    def token_of_value(self, value: str) -> AccessToken | None:
        """The token with this value, if it was not revoked."""
        return next((token for token in self.tokens.values() if token.value == value), None)

    def revoke_tokens(self, owner: User) -> None:
        """Revoke all access tokens of a user."""
        self.tokens = {key: token for key, token in self.tokens.items() if token.owner is not owner}

    def add_organization(
        self, slug: str, owner: User, *, now: datetime, name: str = "", description: str = ""
    ) -> Organization:
        """A new organization with one member, its owner. Raises `ApiError` 400 if the slug is taken."""
        if any(organization.slug == slug for organization in self.organizations.values()):
            raise invalid("slug", "organization with this slug already exists.")
        organization = Organization(next(self._organization_ids), slug, name or slug, description, owner, now)
        organization.roles[owner.id] = "owner"
        self.organizations[organization.id] = organization
        return organization

    def organization_named(self, slug: str) -> Organization | None:
        """The organization of that slug."""
        return next((org for org in self.organizations.values() if org.slug == slug), None)

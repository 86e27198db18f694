"""Who asks, by access token, session with CSRF, API key or basic authentication; and in which workspace."""

from __future__ import annotations

import base64
import binascii
import secrets

from starlette.requests import Request

from tests.cvat_standin.access import Viewer, require_member
from tests.cvat_standin.accounts import Organization, User
from tests.cvat_standin.errors import ApiError, forbidden, refused, unauthenticated
from tests.cvat_standin.replies import log_entry, standin

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def identify(request: Request) -> Viewer:
    """Who asks in which workspace, noted in the log.

    Raises `ApiError`: 401 for credentials that are missing or refused, 403 for a CSRF failure or an
    organization that the user is not in, 404 for one that does not exist.
    """
    user = _authenticate(request)
    if not user.active:
        raise unauthenticated("User inactive or deleted.")
    log_entry(request).user = user.username
    viewer = _with_workspace(request, user)
    if viewer.organization is not None:
        log_entry(request).organization = viewer.organization.slug
        require_member(user, viewer.organization)
    return viewer


def _authenticate(request: Request) -> User:
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return _user_of_token(request, credentials)
    if scheme == "Token":
        session = standin(request).accounts.session_of_key(credentials)
        if session is None:
            raise unauthenticated("Invalid token.")
        return session.user
    if scheme == "Basic":
        return _user_of_basic(request, credentials)
    session = standin(request).accounts.session(request.cookies.get("sessionid", ""))
    if session is None:
        raise unauthenticated()
    if request.method not in _SAFE_METHODS:
        _check_csrf(request, session.csrf_token)
    return session.user


def _user_of_token(request: Request, value: str) -> User:
    token = standin(request).accounts.token_of_value(value)
    if token is None or (token.expires is not None and token.expires <= standin(request).clock.date()):
        raise unauthenticated("Invalid token.")
    if token.read_only and request.method not in _SAFE_METHODS:
        raise forbidden()
    return token.owner


def _user_of_basic(request: Request, credentials: str) -> User:
    try:
        username, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise unauthenticated("Invalid basic header.") from error
    try:
        user = standin(request).accounts.user_named(username)
    except ApiError:
        user = None
    if user is None or user.password is None or not secrets.compare_digest(user.password, password):
        raise unauthenticated("Invalid username/password.")
    return user


def _check_csrf(request: Request, expected: str) -> None:
    sent = request.headers.get("X-CSRFToken")
    if sent is None:
        raise forbidden("CSRF Failed: CSRF token missing.")
    if sent != expected or request.cookies.get("csrftoken") != expected:
        raise forbidden("CSRF Failed: CSRF token from the 'X-Csrftoken' HTTP header incorrect.")


def _with_workspace(request: Request, user: User) -> Viewer:
    slug, header = request.query_params.get("org"), request.headers.get("X-Organization")
    number = request.query_params.get("org_id")
    if number is not None and (slug is not None or header is not None):
        raise refused(
            'You cannot specify "org_id" query parameter with "org" query parameter or "X-Organization" '
            "HTTP header at the same time."
        )
    if slug is not None and header is not None and slug != header:
        raise refused(
            'You cannot specify "org" query parameter and "X-Organization" HTTP header with different values.'
        )
    slug = slug if slug is not None else header
    if slug is None and number is None:
        return Viewer(user, "any", None)
    if not slug and not number:
        return Viewer(user, "personal", None)
    return Viewer(user, "organization", _find_organization(request, slug, number))


def _find_organization(request: Request, slug: str | None, number: str | None) -> Organization:
    accounts = standin(request).accounts
    if slug:
        found = accounts.organization_named(slug)
    else:
        found = accounts.organizations.get(int(number)) if number and number.isdecimal() else None
    if found is None:
        raise ApiError(404, {"detail": f"{slug or number} organization does not exist."})
    return found

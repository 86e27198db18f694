"""Who may call: whoever shows the secret, where there is one.

CVAT has no setting for a header, but puts an address together of a scheme, a host and a port, which must be
a number: so the secret may be the password of a login (`CVAT_NUCLIO_HOST=cvat:<secret>@<gateway>`). A proxy
in between may add a header, or the secret as the first part of the path.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.gateway.errors import NotAdmittedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECRET_HEADER = "X-SAM2-Gateway-Secret"  # noqa: S105 - the name of a header
HIDDEN = frozenset({SECRET_HEADER.lower(), "authorization"})
"""Headers that may hold the secret, in lower case."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Compares in constant time; `secret` is read for each call, for it may be changed."""

    secret: Callable[[], str] | None

    @property
    def hidden(self) -> frozenset[str]:
        """Headers that nobody behind the gateway may see."""
        return HIDDEN if self.secret is not None else frozenset()

    def path(self, raw: str, headers: Mapping[str, str]) -> str:
        """Give the path without the secret.

        Raises:
            NotAdmittedError: it was shown nowhere.
        """
        if self.secret is None:
            return raw
        secret = self.secret()
        _, _, rest = raw.partition("/")
        first, slash, below = rest.partition("/")
        if _same(first, secret):
            return f"{slash or '/'}{below}"
        if _same(headers.get(SECRET_HEADER, ""), secret) or _same(_password(headers), secret):
            return raw
        raise NotAdmittedError("Only CVAT may call this gateway.")


def _password(headers: Mapping[str, str]) -> str:
    kind, _, told = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return told.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(told, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _same(told: str, secret: str) -> bool:
    return bool(secret) and hmac.compare_digest(
        told.encode(errors="surrogateescape"), secret.encode(errors="surrogateescape")
    )

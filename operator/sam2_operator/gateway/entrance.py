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


@dataclass(frozen=True, slots=True)
class Admitted:
    """A caller that may call."""

    path: str
    """Without the secret."""
    hidden: frozenset[str] = frozenset()
    """Headers that hold the secret, in lower case: nobody behind the gateway may see them."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Compares in constant time; `secret` is read for each call, for it may be changed."""

    secret: Callable[[], str] | None

    def admit(self, raw: str, headers: Mapping[str, str]) -> Admitted:
        """Give what a caller called, by its path and headers.

        Raises:
            NotAdmittedError: it was shown nowhere.
        """
        if self.secret is None:
            return Admitted(raw)
        secret = self.secret()
        _, _, rest = raw.partition("/")
        first, slash, below = rest.partition("/")
        told = {SECRET_HEADER: headers.get(SECRET_HEADER, ""), "Authorization": _password(headers)}
        hidden = frozenset(name.lower() for name, value in told.items() if _same(value, secret))
        if _same(first, secret):
            return Admitted(f"{slash or '/'}{below}", hidden)
        if hidden:
            return Admitted(raw, hidden)
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

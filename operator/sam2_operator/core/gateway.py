"""The gateway through which CVAT calls serverless trackers, as far as the operator knows it.

Agents answer only who shows them their token. It is derived from a key that the operator and the gateway
share, and from the tracker's uid: so the gateway needs no right to read Secrets, no agent can call another,
and nothing has to be stored or exchanged.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_operator.core.observed import Problem
from sam2_operator.errors import GatewayKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sam2_operator.api.tracker import Tracker

TOKEN_HEADER = "X-SAM2-Door-Token"  # noqa: S105 - the name of a header


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the gateway's pods are, and what they show at agents' doors."""

    namespace: str
    """Of its pods; empty where that is not known."""
    labels: Mapping[str, str]
    key: Callable[[], str] = field(repr=False)
    """Reads the key, which may be changed while the operator runs; raises `GatewayKeyError`."""


def door_token(key: str, uid: str) -> str:
    """Give what whoever knows the key shows at the door of a tracker's agent."""
    return hmac.new(key.encode(), b"door:" + uid.encode(), hashlib.sha256).hexdigest()


def token_of(gateway: Gateway | None, tracker: Tracker) -> str | Problem | None:
    """Give what the gateway shows the agent of a serverless tracker, or why nobody can; None for others."""
    if not tracker.is_serverless:
        return None
    if gateway is None:
        message = (
            "The operator was installed without a gateway, through which CVAT would call this tracker: set "
            "gateway.enabled in the values of its chart."
        )
        return Problem("NoGateway", message)
    try:
        return door_token(gateway.key(), tracker.metadata.uid)
    except GatewayKeyError as error:
        return Problem(error.reason, str(error))

"""HTTP answers that end: of bounded size, and in bounded time as long as some of them comes.

A server, or whatever stands in front of it, may send without end, or a byte now and then, which no time-out
between bytes notices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import urllib3

_PIECE_BYTES = 1 << 16


class UnboundedAnswerError(urllib3.exceptions.HTTPError):
    """An answer was too large, or took too long."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an answer may take."""

    max_bytes: int
    seconds: float
    monotonic: Callable[[], float]

    def excess(self, size: int, began: float) -> str | None:
        """Say in what way an answer takes too much."""
        if size > self.max_bytes:
            return f"is larger than {self.max_bytes:,} bytes"
        late = self.monotonic() - began > self.seconds
        return f"took longer than {self.seconds:g} seconds" if late else None


def whole(response: urllib3.BaseHTTPResponse, bounds: Bounds, began: float) -> bytes:
    """Read the whole answer to a request that began then.

    Raises:
        UnboundedAnswerError: it is larger, or takes longer, than it may.
    """
    body = bytearray()
    while piece := response.read1(_PIECE_BYTES, decode_content=True):
        body += piece
        if excess := bounds.excess(len(body), began):
            response.close()
            raise UnboundedAnswerError(f"the answer {excess}")
    response.release_conn()
    return bytes(body)


class BoundedPools(urllib3.PoolManager):
    """Pools of connections whose answers are bounded."""

    def __init__(self, *arguments: Any, bounds: Bounds, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bounds = bounds

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002 - urllib3's
        **named: Any,
    ) -> urllib3.BaseHTTPResponse:
        """Make a request and read its whole answer.

        Raises:
            UnboundedAnswerError: it is larger, or takes longer, than it may.
        """
        began = self._bounds.monotonic()
        named["preload_content"] = False
        response: urllib3.BaseHTTPResponse = super().urlopen(method, url, redirect, **named)
        body = whole(response, self._bounds, began)
        return urllib3.HTTPResponse(
            body, response.headers, response.status, response.version, reason=response.reason
        )


class BoundedProxyPools(BoundedPools, urllib3.ProxyManager):
    """The same, through a proxy."""

"""What CVAT's replies mean, and those of whatever stands in front of it."""

from __future__ import annotations

import json
import time
from urllib.parse import urlsplit

import urllib3

from sam2_agent.adapters.cvat_credentials import credentials_refused
from sam2_agent.errors import AgentError, CVATShielded, CVATUnavailable

MAX_RETRY_AFTER = 120.0
"""A longer wait, which CVAT may ask for, would make the loop look dead (`status.STUCK_SECONDS`)."""

MAX_BODY_BYTES = 256 * 2**20
"""Of a body that is read piece by piece: an uncompressed frame of the most pixels that are decoded."""

MAX_BODY_SECONDS = 120.0
"""A body that takes longer, though never silent, is given up: the loop would look dead."""

_PIECE_BYTES = 2**18


class Refusal(AgentError):
    """CVAT itself, not something in front of it, answered 4xx; what that means depends on the call."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"CVAT answered {status}: {detail}")
        self.status = status
        self.detail = detail


class TooLarge(AgentError):
    """A body is larger than any frame that can be decoded."""


def check(response: urllib3.BaseHTTPResponse, url: str) -> None:
    """Return if CVAT did what it was asked; raises `Refusal` or `CVATUnavailable`."""
    status = response.status
    if 200 <= status < 300:
        return
    # Read to its end first: the connection's next user must not find a rest of this answer.
    detail = _detail(response)
    response.release_conn()
    if 300 <= status < 400:
        raise unreachable(url, f"it redirects to {_address(response)}; use that address")
    if status in (408, 425, 429) or status >= 500:
        asked = _retry_after(response)
        words = f"HTTP status {status}" + ("" if asked is None else f"; it asks to wait {asked:.0f} s")
        raise unreachable(url, words, None if asked is None else min(asked, MAX_RETRY_AFTER))
    if status == 413:  # which an ingress in front of CVAT may say as well
        raise Refusal(status, "it is too large for CVAT or its ingress")
    if not is_json(response):
        raise CVATShielded(
            _sentence(url, f"HTTP status {status}, and not from CVAT itself; check the address and ingress"),
            reason="CVATUnreachable",
        )
    if status == 401:
        raise credentials_refused("CVAT does not accept the agent's token; put a valid one into the Secret.")
    raise Refusal(status, detail)


def read_body(response: urllib3.BaseHTTPResponse, url: str) -> bytes:
    """Read a body of any speed that is not silent: only silence, not slowness, ends it early.

    Raises `TooLarge`, `CVATUnavailable`, or urllib3's errors where it is cut off.
    """
    give_up_at = time.monotonic() + MAX_BODY_SECONDS
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(_PIECE_BYTES, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BODY_BYTES:
            response.close()
            raise TooLarge(f"The body is larger than {MAX_BODY_BYTES:,} bytes.")
        if time.monotonic() > give_up_at:
            response.close()
            raise unreachable(url, f"an answer took more than {MAX_BODY_SECONDS:.0f} s")
    response.release_conn()
    return b"".join(pieces)


def is_json(response: urllib3.BaseHTTPResponse) -> bool:
    """Whether CVAT itself says so, not a proxy's page."""
    return "json" in response.headers.get("Content-Type", "")


def unreachable(url: str, why: str, retry_after: float | None = None) -> CVATUnavailable:
    """Say that CVAT does not do now what it was asked, or nobody hears that it does."""
    return CVATUnavailable(_sentence(url, why), reason="CVATUnreachable", retry_after=retry_after)


def why(error: Exception) -> str:
    """Name what kept a call from being answered."""
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, Exception) else error).__name__


def _sentence(url: str, why: str) -> str:
    return f"CVAT at {url} does not answer as it should ({why})."


def _address(response: urllib3.BaseHTTPResponse) -> str:
    """Where a redirect leads, without what a login page may have put behind the path."""
    found = urlsplit(response.headers.get("Location", ""))
    return found._replace(query="", fragment="").geturl() or "nowhere"


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds; a date, which CVAT does not send, is ignored."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() else None


def _detail(response: urllib3.BaseHTTPResponse) -> str:
    try:
        body = json.loads(response.data)
    except (ValueError, urllib3.exceptions.HTTPError):
        return ""
    found = body.get("detail", body) if isinstance(body, dict) else body
    return str(found)[:500]

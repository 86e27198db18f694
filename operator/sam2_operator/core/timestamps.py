"""Times as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def text(moment: datetime) -> str:
    """Give a time in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(written: str) -> datetime:
    """Read a time.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(written).astimezone(UTC)

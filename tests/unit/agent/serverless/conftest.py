"""A Redis for each test."""

from __future__ import annotations

import pytest

from tests.simulation.redis import SimRedis


@pytest.fixture
def server() -> SimRedis:
    """Empty, in a time that stands still."""
    return SimRedis(lambda: 0.0)

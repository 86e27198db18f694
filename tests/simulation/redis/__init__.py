"""A Redis in virtual time that runs the real Lua scripts, with its client and its faults.

`test_conformance.py` holds it against a real Redis.
"""

from tests.simulation.redis.client import Carry, SimRedisClient
from tests.simulation.redis.server import SimRedis

__all__ = ["Carry", "SimRedis", "SimRedisClient"]

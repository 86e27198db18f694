"""What a track costs in Redis is bounded as docs/agent.md says."""

from __future__ import annotations

from benchmarks.redis_memory import measure
from tests.sized_tracker import MEMORY_BYTES


async def test_memory_in_redis_is_bounded_by_live_objects_and_frames() -> None:
    """Three objects on 60 frames, with records of the published models' size, looked at on every frame."""
    row = await measure(3, 60, look_every=1)
    assert row.memories_per_object <= 9
    assert MEMORY_BYTES < row.memory_bytes < 1.26 * MEMORY_BYTES, "Redis's allocator rounds up"
    assert row.live_object_bytes < 6 * 2**20
    assert row.largest_answer_bytes < 4 * 1024
    assert row.init_bytes < 8 * 1024
    assert row.used_bytes < 3 * (6 * 2**20 + 60 * 4 * 1024) + 2**20

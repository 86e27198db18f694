"""What is computed again is enough, not too much, and in an order that works."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sam2_agent.core.restore import memories_read, missing, pointers_read

INDEXES = st.integers(1, 60)
SURVIVORS = st.sets(st.integers(0, 59))


def replay(index: int, answers: set[int], memories: set[int]) -> None:
    """Compute what the plan says, and then the step itself; fails where something that is read is missing."""
    pointers, spatial = set(answers), set(memories)
    for step in [*missing(index, answers, memories), index]:
        if step > 0:
            assert set(pointers_read(step)) | {0} <= pointers
            assert set(memories_read(step)) | {0} <= spatial
        pointers.add(step)
        spatial.add(step)


@given(INDEXES, SURVIVORS, SURVIVORS)
def test_the_plan_works_whatever_survives(index: int, answers: set[int], memories: set[int]) -> None:
    replay(index, answers, memories)


@given(INDEXES, SURVIVORS, SURVIVORS)
def test_the_plan_is_in_order_and_before_the_step(index: int, answers: set[int], memories: set[int]) -> None:
    plan = missing(index, answers, memories)
    assert plan == sorted(set(plan))
    assert all(0 <= step < index for step in plan)


@given(st.integers(1, 12), st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_no_smaller_plan_works(index: int, answers: set[int], memories: set[int]) -> None:
    plan = missing(index, answers, memories)
    for left_out in plan:
        pointers, spatial = set(answers), set(memories)
        works = True
        for step in [*(step for step in plan if step != left_out), index]:
            reads = step == 0 or (
                set(pointers_read(step)) | {0} <= pointers and set(memories_read(step)) | {0} <= spatial
            )
            works = works and reads
            pointers.add(step)
            spatial.add(step)
        assert not works, left_out


def test_nothing_missing_means_nothing_to_do() -> None:
    everything = set(range(40))
    assert missing(40, everything, everything) == []
    assert missing(40, {0, *range(25, 40)}, {0, *range(34, 40)}) == []


def test_a_crash_before_two_memories_were_written_costs_two_steps() -> None:
    answers = set(range(40))
    assert missing(40, answers, {0, *range(32, 38)}) == [38, 39]


def test_expired_memory_means_the_whole_track() -> None:
    assert missing(40, set(range(40)), set()) == list(range(40))


def test_a_lost_prompt_alone_is_one_step() -> None:
    assert missing(40, set(range(1, 40)), set(range(1, 40))) == [0]

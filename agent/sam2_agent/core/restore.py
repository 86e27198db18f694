"""Which steps must be computed again before a track can go on.

A step reads the prompt's record, the pointers of the last `POINTER_FRAMES` steps and the memories of the last
`MEMORY_FRAMES`.  Pointers are kept with answers, memories apart and for a shorter time.  What is missing is
computed again from the same kinds of records, which may be missing too: so the search goes back until
everything that is read exists, at worst to the prompt, which is in the state string.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from sam2_agent.core.ports import Kind
from sam2_agent.core.tracking import MEMORY_FRAMES, POINTER_FRAMES


def pointers_read(index: int) -> range:
    """The steps whose pointers step `index` (>= 1) reads, besides the prompt's."""
    return range(max(1, index - POINTER_FRAMES), index)


def memories_read(index: int) -> range:
    """The steps whose memories step `index` (>= 1) reads, besides the prompt's."""
    return range(max(1, index - MEMORY_FRAMES), index)


def records_read(index: int) -> Iterator[tuple[Kind, int]]:
    """The records that step `index` (>= 1) reads."""
    for step in (0, *pointers_read(index)):
        yield "answer", step
    for step in (0, *memories_read(index)):
        yield "memory", step


def missing(index: int, answers: Container[int], memories: Container[int]) -> list[int]:
    """Return the steps to compute again, in order, before step `index` (>= 1) can be computed.

    `answers` and `memories` hold the steps whose answer (with its pointer) or memory survives.  A surviving
    answer of a step that is computed again stands: only its memory is taken.
    """
    again: list[int] = []
    first_pointer, first_memory = pointers_read(index).start, memories_read(index).start
    for step in range(index - 1, 0, -1):
        if step < first_pointer and step < first_memory:
            break
        lacks_pointer = step >= first_pointer and step not in answers
        lacks_memory = step >= first_memory and step not in memories
        if lacks_pointer or lacks_memory:
            again.append(step)
            first_pointer = min(first_pointer, pointers_read(step).start)
            first_memory = min(first_memory, memories_read(step).start)
    if 0 not in answers or 0 not in memories:
        again.append(0)
    return again[::-1]

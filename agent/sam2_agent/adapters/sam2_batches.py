"""Which objects SAM2 can track at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sam2_agent.core.tracking import POINTER_FRAMES, Context


def batches(contexts: Sequence[Context], size: int) -> Iterator[list[int]]:
    """Places of contexts that SAM2 can track at once: same frame and window, at most `size` of them."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, context in enumerate(contexts):
        _require_complete(context)
        groups.setdefault((context.index, context.window), []).append(place)
    for places in groups.values():
        for start in range(0, len(places), size):
            yield places[start : start + size]


def _require_complete(context: Context) -> None:
    """Refuse a context with a gap: SAM2 would pass over it silently and give another answer."""
    needed = range(max(1, context.index - POINTER_FRAMES), context.index)
    if context.index < 1 or context.prompt.index != 0 or [r.index for r in context.recent] != list(needed):
        raise ValueError(f"the records of frames {list(needed)} are needed to track frame {context.index}")

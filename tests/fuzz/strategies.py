"""What a browser, a bug or an enemy may send: any JSON, near misses of what is expected, huge numbers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

numbers = (
    st.integers(-2, 70)
    | st.integers()
    | st.floats()
    | st.sampled_from([2**31, 2**31 - 1, 2**63, 2**64, 10**400, -0.0, 0.5, 1e308, 1e-320, True])
)
"""Small ones that may fit, and all others."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

texts = st.text(max_size=200)


@st.composite
def edited(draw: st.DrawFn, original: str) -> str:
    """The text with one part replaced, doubled, taken out or moved."""
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(original))] * 2)))
    part = original[start:end]
    replacement = draw(
        texts | st.sampled_from(["", part * 2, part.upper(), part[::-1], "٣", "NaN", "1e400", "9" * 5000])
    )
    return original[:start] + replacement + original[end:]


@st.composite
def edited_bytes(draw: st.DrawFn, original: bytes) -> bytes:
    """The bytes with one part replaced, or some bits flipped."""
    if draw(st.booleans()):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(original))] * 2)))
        return original[:start] + draw(st.binary(max_size=60)) + original[end:]
    data = bytearray(original)
    for bit in draw(st.lists(st.integers(0, len(original) * 8 - 1), min_size=1, max_size=4)):
        data[bit // 8] ^= 1 << bit % 8
    return bytes(data)

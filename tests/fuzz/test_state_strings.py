"""State strings come back from browsers: whatever stands in one, it is refused or a track of its own."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from sam2_agent.core import state
from sam2_agent.core.state import MAX_FRAME, PREFIX, State, Steps, parse
from sam2_agent.core.tracking import BoxPrompt, MaskPrompt, Prompt
from sam2_agent.errors import RequestRefused
from tests.fuzz.strategies import edited, json_values, numbers, texts
from tests.fuzz.test_shapes import bitmaps

FINGERPRINT = "f" * 64
FIELDS = tuple(State.model_fields)


@st.composite
def states(draw: st.DrawFn) -> State:
    """States as the agent begins and extends them."""
    mask = draw(bitmaps())
    height, width = mask.shape
    prompt: Prompt = MaskPrompt(mask)
    if draw(st.booleans()):
        x1, x2 = sorted(draw(st.lists(st.floats(0, width), min_size=2, max_size=2, unique=True)))
        y1, y2 = sorted(draw(st.lists(st.floats(0, height), min_size=2, max_size=2, unique=True)))
        prompt = BoxPrompt((x1, y1, x2, y2))
    begun = state.begin(
        task=draw(st.integers(0, 2**63 - 1)),
        frame=draw(st.integers(0, MAX_FRAME)),
        size=(width, height),
        shape=draw(st.sampled_from(["mask", "polygon", "rectangle"])),
        prompt=prompt,
        window=draw(st.integers(1, 16)),
        nonce=draw(st.integers(0, 2**128 - 1)),
    )
    for frame in draw(st.lists(st.integers(0, 9) | st.integers(0, MAX_FRAME), max_size=20)):
        begun = begun.extended(frame)
    return begun


def read(text: str) -> State | None:
    """The state of a string that is accepted; does with it what a request would."""
    try:
        found = parse(text)
    except RequestRefused:
        return None
    assert found.canonical() == text
    try:
        found.prompt()
        longer = found.extended(3)
    except RequestRefused:
        return found
    assert parse(longer.canonical()) == longer
    steps = Steps(found, FINGERPRINT)
    assert len({steps.name(i) for i in range(min(steps.last, 50) + 1)}) == min(steps.last, 50) + 1
    return found


@given(states())
def test_what_is_written_is_read_back(written: State) -> None:
    assert parse(written.canonical()) == written
    prompt, again = written.prompt(), parse(written.canonical()).prompt()
    if isinstance(prompt, MaskPrompt) and isinstance(again, MaskPrompt):
        assert (prompt.mask == again.mask).all()
    else:
        assert prompt == again


@given(states(), st.data())
def test_an_edited_string_is_refused_or_names_other_steps(honest: State, data: st.DataObject) -> None:
    """All but its beginning: who shortens the list of frames goes back on the same track."""
    text = data.draw(edited(honest.canonical()))
    assume(text != honest.canonical())
    forged = read(text)
    if forged is None:
        return
    mine, theirs = Steps(honest, FINGERPRINT), Steps(forged, FINGERPRINT)
    common = {mine.name(i) for i in range(mine.last + 1)} & {theirs.name(i) for i in range(theirs.last + 1)}
    if forged.head != honest.head:
        assert not common
    else:
        assert len(common) == common_start(frames(mine), frames(theirs))


@given(states(), st.sampled_from(FIELDS), numbers | texts | json_values | st.just([0, 4, 0, 0, 1, 1]))
def test_an_edited_field_is_refused_or_names_other_steps(honest: State, field: str, value: Any) -> None:
    fields = json.loads(honest.canonical().removeprefix(PREFIX))
    assume(fields.get(field) != value)
    tracked = {**fields, field: value}.pop("tracked")
    head = {name: each for name, each in sorted({**fields, field: value}.items()) if name != "tracked"}
    forged = read(PREFIX + json.dumps({**head, "tracked": tracked}, separators=(",", ":")))
    if forged is not None and field != "tracked":
        assert Steps(forged, FINGERPRINT).name(0) != Steps(honest, FINGERPRINT).name(0)


@given(texts | texts.map(PREFIX.__add__) | json_values.map(lambda value: PREFIX + json.dumps(value)))
def test_no_text_does_harm(text: str) -> None:
    read(text)


def frames(steps: Steps) -> list[int]:
    return [steps.frame(index) for index in range(steps.last + 1)]


def common_start(one: list[int], other: list[int]) -> int:
    """How many numbers two lists have in common at their beginning."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )

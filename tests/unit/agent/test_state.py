"""State strings: small, canonical, and safe to take back from anybody."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_agent.core import state
from sam2_agent.core.state import MAX_CHARACTERS, MAX_RANGES, PREFIX, State, Steps, parse
from sam2_agent.core.tracking import BoxPrompt, MaskPrompt
from sam2_agent.errors import RequestRefused

FINGERPRINT = "f" * 64


def box_state(nonce: int = 7) -> State:
    return state.begin(
        task=3,
        frame=5,
        size=(64, 48),
        shape="rectangle",
        prompt=BoxPrompt((1.0, 2.0, 30.5, 40.0)),
        window=16,
        nonce=nonce,
    )


def mask_state() -> State:
    mask = np.zeros((48, 64), dtype=np.bool_)
    mask[10:20, 5:40] = True
    mask[12, 7] = False
    return state.begin(
        task=3, frame=0, size=(64, 48), shape="polygon", prompt=MaskPrompt(mask), window=9, nonce=1
    )


def after(begun: State, *frames: int) -> State:
    for frame in frames:
        begun = begun.extended(frame)
    return begun


def rewritten(text: str, **fields: object) -> str:
    """The string with some fields changed, written as canonically as a forger can."""
    data = json.loads(text.removeprefix(PREFIX)) | fields
    tracked = data.pop("tracked")
    return PREFIX + json.dumps({**dict(sorted(data.items())), "tracked": tracked}, separators=(",", ":"))


@given(st.lists(st.integers(0, 40), max_size=30))
def test_what_is_written_is_read_back(frames: list[int]) -> None:
    for begun in (box_state(), mask_state()):
        extended = after(begun, *frames)
        assert parse(extended.canonical()) == extended
        steps = Steps(extended, FINGERPRINT)
        assert [steps.frame(i) for i in range(steps.last + 1)] == [begun.frame, *frames]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.data())
def test_a_step_has_the_same_name_in_every_longer_track(frames: list[int], data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(frames)))
    longer, shorter = after(box_state(), *frames), after(box_state(), *frames[:length])
    assert Steps(longer, FINGERPRINT).name(length) == Steps(shorter, FINGERPRINT).name(length)


def test_prompts_survive() -> None:
    assert box_state().prompt() == BoxPrompt((1.0, 2.0, 30.5, 40.0))
    prompt = parse(mask_state().canonical()).prompt()
    assert isinstance(prompt, MaskPrompt)
    assert prompt.mask.sum() == 10 * 35 - 1


def test_a_long_track_stays_small() -> None:
    begun = mask_state()
    assert len(after(begun, *range(1, 5000)).canonical()) < len(begun.canonical()) + 20


@pytest.mark.parametrize(
    "fields",
    [
        {"task": 4},
        {"frame": 6},
        {"size": [64, 50]},
        {"window": 15},
        {"shape": "mask"},
        {"nonce": "0" * 32},
        {"box": [1.0, 2.0, 30.5, 41.0]},
        {"tracked": [[6, 8]]},
        {"tracked": [[6, 6], [8, 8]]},
    ],
)
def test_an_edited_string_names_other_steps(fields: dict[str, object]) -> None:
    honest = after(box_state(), 6, 7)
    forged = parse(rewritten(honest.canonical(), **fields))
    names = {Steps(honest, FINGERPRINT).name(i) for i in range(3)}
    edited = Steps(forged, FINGERPRINT)
    assert edited.name(edited.last) not in names


def test_another_model_names_other_steps() -> None:
    assert Steps(box_state(), "a" * 64).name(0) != Steps(box_state(), "b" * 64).name(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        "s2t2." + box_state().canonical().removeprefix(PREFIX),
        box_state().canonical() + " ",
        box_state().canonical().replace(":", ": ", 1),
        rewritten(box_state().canonical(), more=1),
        rewritten(box_state().canonical(), window=17),
        rewritten(box_state().canonical(), nonce="g" * 32),
        rewritten(box_state().canonical(), task=3.0),
        rewritten(box_state().canonical(), task=True),
        rewritten(box_state().canonical(), size=[64, 0]),
        rewritten(box_state().canonical(), mask=[1, 2, 3, 4, 5]),
        rewritten(box_state().canonical(), tracked=[[6, 6], [7, 7]]),
        rewritten(box_state().canonical(), tracked=[[8, 6]]),
        rewritten(box_state().canonical(), tracked=[[0, 2_000_000]]),
        rewritten(box_state().canonical(), tracked=[[0, 0]] * 5000),
        box_state().canonical().replace("30.5", "NaN"),
        box_state().canonical().replace("30.5", "30.50"),
        box_state().canonical().replace('"task":3', '"task":3,"task":3'),
        PREFIX + "[" * 100_000,
        "x" * (MAX_CHARACTERS + 1),
    ],
    ids=lambda text: text[:24] or "empty",
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(RequestRefused, match="start tracking again"):
        parse(text)


@given(st.text(max_size=200), st.integers(0, 400), st.integers(0, 400))
def test_no_text_does_harm(noise: str, start: int, stop: int) -> None:
    text = after(box_state(), 6, 7, 3).canonical()
    for candidate in (noise, PREFIX + noise, text[:start] + noise + text[stop:]):
        with suppress(RequestRefused):
            assert parse(candidate).canonical() == candidate


def test_a_mask_that_does_not_fit_the_size_is_refused_before_it_is_allocated() -> None:
    text = rewritten(mask_state().canonical(), mask=[0, 4_000_000_000, 0, 0, 65_000, 65_000])
    with pytest.raises(RequestRefused):
        parse(text).prompt()


@pytest.mark.parametrize("index", range(4))
def test_a_name_is_the_digest_of_the_model_and_of_the_string_up_to_that_step(index: int) -> None:
    frames = (6, 7, 3)
    text = f"{FINGERPRINT}\n{after(mask_state(), *frames[:index]).canonical()}"
    steps = Steps(after(mask_state(), *frames), FINGERPRINT)
    assert steps.name(index) == hashlib.sha256(text.encode()).hexdigest()


def test_a_late_steps_name_costs_no_more_than_an_early_ones() -> None:
    """An untrusted string may have that many runs, and names are made where the lease is renewed."""
    steps = Steps(box_state().model_copy(update={"tracked": ((0, 23),) * MAX_RANGES}), FINGERPRINT)

    def cost(indices: range) -> float:
        began = time.process_time()
        assert len({steps.name(index) for index in indices}) == len(indices)
        return time.process_time() - began

    early = cost(range(1, 2001))
    assert cost(range(steps.last - 1999, steps.last + 1)) < 10 * early

"""Requests are untrusted: what is wrong with them becomes a sentence for the annotator."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_agent.core.requests import (
    MAX_BODY,
    Assignment,
    InitTracking,
    Recorded,
    Track,
    describe,
    parse,
    read_acquired,
)
from sam2_agent.errors import DamagedRecord, RequestRefused

INIT: dict[str, Any] = {
    "type": "init_tracking",
    "task": 1,
    "frame": 0,
    "shapes": [{"type": "rectangle", "points": [1, 2, 3, 4]}],
}
TRACK: dict[str, Any] = {"type": "track", "task": 1, "frame": 2, "states": ["s2t1.{}"]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_both_kinds_are_read_and_what_cvat_adds_is_ignored() -> None:
    init = parse({**INIT, "job": 5, "anything": [1]})
    assert isinstance(init, InitTracking)
    assert init.shapes[0].points == [1.0, 2.0, 3.0, 4.0]
    assert isinstance(parse({**TRACK, "job": None}), Track)


@pytest.mark.parametrize("kind", ["annotate_task", "annotate_frame", "interact"])
def test_other_kinds_are_refused_by_name(kind: str) -> None:
    with pytest.raises(RequestRefused, match=f"cannot answer {kind} requests"):
        parse({"type": kind, "task": 1})


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"type": None},
        {"type": ["track"]},
        {**INIT, "shapes": []},
        {**INIT, "shapes": [{"type": "mask", "points": [float("inf")]}]},
        {**INIT, "shapes": [{"type": "mask"}]},
        {**INIT, "frame": -1},
        {**INIT, "frame": None},
        {**INIT, "task": "one"},
        {**TRACK, "states": []},
        {**TRACK, "states": [3]},
        {**TRACK, "states": None},
    ],
)
def test_nonsense_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse(parameters)
    assert str(refused.value).endswith(".")


def test_too_many_objects_are_counted_for_the_annotator() -> None:
    with pytest.raises(RequestRefused, match="33 objects are too many"):
        parse({**TRACK, "states": ["x"] * 33})


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "x" * 2**20, "task": ["x"] * 2**20, "frame": {"x" * 2**20: 1}},
        {**INIT, "shapes": [{"type": "x" * 2**20, "points": [1.0]}]},
    ],
)
def test_what_is_logged_of_a_request_is_short(parameters: dict[str, Any]) -> None:
    assert len(str(describe(parameters))) < 1000
    with pytest.raises(RequestRefused) as refused:
        parse(parameters)
    assert len(str(refused.value)) < 1000


@given(st.dictionaries(st.sampled_from([*INIT, *TRACK, "job"]), json_values))
def test_no_parameters_do_harm(parameters: dict[str, Any]) -> None:
    describe(parameters)
    with suppress(RequestRefused):
        parse(parameters)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=3), st.integers(0, 9))
def test_a_recorded_request_comes_back(parameters: dict[str, Any], attempts: int) -> None:
    try:
        request = Recorded(assignment=Assignment(ar_id="a", ar_params=parameters), attempts=attempts)
        data = request.dump()
    except ValueError:
        return  # not JSON: CVAT cannot send it
    found = Recorded.load(data, "a")
    assert found.attempts == attempts
    assert repr(found.assignment.ar_params) == repr(parameters)


@given(st.binary(max_size=60))
def test_noise_is_no_recorded_request(noise: bytes) -> None:
    with pytest.raises(DamagedRecord):
        Recorded.load(noise, "a")


def test_a_recorded_request_belongs_to_its_id() -> None:
    data = Recorded(assignment=Assignment(ar_id="a", ar_params=TRACK), attempts=1).dump()
    with pytest.raises(DamagedRecord, match="another"):
        Recorded.load(data, "b")


@given(st.data())
def test_every_flipped_bit_of_a_recorded_request_is_noticed(data: st.DataObject) -> None:
    record = bytearray(Recorded(assignment=Assignment(ar_id="a", ar_params=TRACK), attempts=1).dump())
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedRecord):
        Recorded.load(bytes(record), "a")


@pytest.mark.parametrize(
    "parameters",
    [
        r'{"type": "track", "states": ["\ud800"]}',
        '{"type": "track", "frame": ' + "9" * 5000 + "}",
        '{"type": "track", "states": ' + "[" * 300 + "]" * 300 + "}",
        '["no", "object"]',
        '{"type": "track", "states": ["' + "x" * MAX_BODY + '"]}',
    ],
    ids=["half a surrogate pair", "endless number", "deep", "no object", "long"],
)
def test_parameters_that_cannot_be_read_are_refused_and_do_not_block_the_queue(parameters: str) -> None:
    body = '{"ar_assignment": {"ar_id": "request-7", "function_id": 1, "ar_params": ' + parameters + "}}"
    assignment = read_acquired(body.encode())
    assert assignment is not None
    assert assignment.ar_id == "request-7"
    with pytest.raises(RequestRefused, match=r"cannot answer (unreadable|oversized) requests"):
        parse(assignment.ar_params)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"ar_assignment": 3}', b"<html>", b"[" * 100_000, b"\xff"]
)
def test_what_is_no_answer_of_cvats_is_told_apart(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_acquired(body)


def test_no_work_and_work_are_read() -> None:
    assert read_acquired(b'{"ar_assignment": null}') is None
    found = read_acquired(b'{"ar_assignment": {"ar_id": "a", "ar_params": {"type": "track"}}, "more": 1}')
    assert found == Assignment(ar_id="a", ar_params={"type": "track"})

"""Requests and credentials: read, or one error of the documented family."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sam2_agent.adapters.cvat_credentials import read_credentials
from sam2_agent.core.requests import (
    Assignment,
    Recorded,
    describe,
    parse,
    read_acquired,
    weight,
)
from sam2_agent.errors import CVATUnavailable, RequestRefused
from tests.fuzz.strategies import edited_bytes, json_values, numbers

shapes = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["mask", "polygon", "rectangle"]) | json_values,
        "points": st.lists(numbers, max_size=12) | json_values,
        "rotation": numbers | json_values,
        "more": json_values,
    },
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["init_tracking", "track", "interact"]) | json_values,
        "task": numbers | json_values,
        "job": numbers | json_values,
        "frame": numbers | json_values,
        "shapes": st.lists(shapes | json_values, max_size=4) | json_values,
        "states": st.lists(st.text(max_size=9) | json_values, max_size=4) | json_values,
    },
)
TRACK = {"type": "track", "task": 1, "frame": 2, "states": ["s2t1.{}", "x"], "job": None}
ACQUIRED = json.dumps({"ar_assignment": {"ar_id": "a", "ar_params": TRACK, "function_id": 3}}).encode()


@given(parameters)
def test_any_parameters_are_a_request_or_a_sentence(sent: dict[str, Any]) -> None:
    describe(sent)
    assert weight(sent) >= 0
    try:
        request = parse(sent)
    except RequestRefused as refused:
        sentence = str(refused)
    else:
        sentence = "."
        assert request.type == sent["type"]
    assert sentence.endswith(".")
    assert len(sentence) < 1000


@given(st.binary(max_size=300) | edited_bytes(ACQUIRED))
def test_any_answer_to_an_acquire_is_an_assignment_or_none(body: bytes) -> None:
    with suppress(ValueError):
        found = read_acquired(body)
        assert found is None or isinstance(found, Assignment)


@given(parameters, st.text(min_size=1, max_size=30), st.integers(0, 9))
def test_what_cvat_hands_out_is_recorded_and_read_back(
    sent: dict[str, Any], ar_id: str, attempts: int
) -> None:
    body = json.dumps({"ar_assignment": {"ar_id": ar_id, "ar_params": sent}}).encode("ascii")
    assignment = read_acquired(body)
    assert assignment is not None
    assert assignment.ar_id == ar_id
    found = Recorded.load(Recorded(assignment=assignment, attempts=attempts).dump(), ar_id)
    assert repr(found.assignment) == repr(assignment)
    assert found.attempts == attempts


@given(st.dictionaries(st.sampled_from(["token", "username", "password"]), st.binary(max_size=40)))
def test_any_files_are_credentials_or_a_reason(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        with suppress(CVATUnavailable):
            found = read_credentials(Path(folder))
            assert found.token or (found.username and found.password)

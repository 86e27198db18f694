"""A call that makes no sense is refused with one sentence, whatever is in it."""

from __future__ import annotations

import json

import pytest

from sam2_agent.core import calls
from sam2_agent.errors import RequestRefused

SENSELESS = [
    (b"[]", "should be an object|is not an object"),
    (b'"call"', "should be an object|is not an object"),
    (b'{"image": "", "shapes": [], "states": []}', "names no object"),
    (b'{"image": 1, "shapes": [null]}', "image"),
    (b'{"image": "%", "shapes": [[1,2,3,4]]}', "not base64"),
    (b'{"image": "YQ", "shapes": [[1,2,3,4]]}', "not base64"),
    (b'{"image": "\\u20ac", "shapes": [[1,2,3,4]]}', "not base64"),
    (b'{"image": "", "shapes": [null], "states": [null]}', "neither a shape nor a tracking state"),
    (b'{"image": "", "shapes": ["mask"]}', "A shape is not understood .it has no type and points"),
    (b'{"image": "", "shapes": [{"type": "mask"}]}', "points: Field required"),
    (b'{"image": "", "shapes": [[1, 2, 3, 1e999]]}', "not understood"),
    (b'{"image": "", "states": [{"a": 1}]}', "not one that this function wrote"),
    (b'{"image": "", "states": ["s2ts1.' + b"0" * 63 + b'"]}', "not one that this function wrote"),
    (b'{"image": "", "shapes": ' + b"[" * 900 + b"]" * 900 + b"}", "not understood"),
    (b'{"image": "", "shapes": [[1' + b",1" * 2**21 + b"]]}", "more parts than"),
    (b'{"image": "", "shapes": [[]' + b",[]" * 2**18 + b"]}", "more parts than"),
    (b'{"image": "", "states": [' + b"null," * 256 + b"null]}", "257 objects are too many"),
]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        *SENSELESS,
        (b"", "its JSON"),
        (b'{"image": "", "shapes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not understood"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_with_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(RequestRefused, match=sentence) as refused:
        calls.parse(body)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(("body", "sentence"), SENSELESS)
def test_so_is_one_that_somebody_parsed_already(body: bytes, sentence: str) -> None:
    with pytest.raises(RequestRefused, match=sentence) as refused:
        calls.read(json.loads(body))
    assert len(str(refused.value)) < 300
    assert "_" not in str(refused.value)

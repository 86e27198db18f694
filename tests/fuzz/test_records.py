"""Records as Redis gives them back: what was written, or damaged."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_agent.core.records import (
    Answer,
    AnswerShape,
    dump_answer,
    dump_memory,
    load_answer,
    load_memory,
    seal,
    unseal,
)
from sam2_agent.core.requests import Assignment, Recorded
from sam2_agent.errors import DamagedRecord
from tests.fuzz.strategies import edited_bytes, json_values

NAME, MODEL = "a" * 64, "b" * 64
ANSWER = Answer(AnswerShape(type="mask", points=[0.0, 4.0, 1.0, 1.0, 2.0, 2.0]), np.ones(4, np.float32), 2.5)
RECORDED = Recorded(assignment=Assignment(ar_id=NAME, ar_params={"type": "track", "frame": 3}), attempts=1)

READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "answer": (dump_answer(ANSWER, NAME, MODEL), lambda data: load_answer(data, NAME, MODEL)),
    "memory": (dump_memory(b"x" * 50, NAME, MODEL), lambda data: load_memory(data, NAME, MODEL)),
    "init": (seal("init", NAME, b'["s2t1."]'), lambda data: unseal("init", NAME, data)),
    "request": (RECORDED.dump(), lambda data: Recorded.load(data, NAME)),
}


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_edited_bytes_are_damaged(kind: str, data: st.DataObject) -> None:
    original, load = READERS[kind]
    load(original)
    edited = data.draw(edited_bytes(original))
    if edited != original:
        with pytest.raises(DamagedRecord):
            load(edited)


@pytest.mark.parametrize("kind", READERS)
@given(noise=st.binary(max_size=300))
def test_noise_is_damaged(kind: str, noise: bytes) -> None:
    with pytest.raises(DamagedRecord):
        READERS[kind][1](noise)


@pytest.mark.parametrize("kind", READERS)
@given(
    changed=st.dictionaries(
        st.sampled_from(["format", "kind", "name", "fingerprint", "shape", "numbers", "more"]),
        json_values,
        max_size=3,
    ),
    length=st.none() | st.integers(0, 2**32 - 1),
    body=st.none() | st.binary(max_size=60),
)
def test_a_right_checksum_does_not_make_a_record(
    kind: str, changed: dict[str, Any], length: int | None, body: bytes | None
) -> None:
    """As a newer or older agent, or another program, might write it."""
    original, load = READERS[kind]
    (end,) = struct.unpack(">I", original[36:40])
    fields = json.loads(original[40 : 40 + end])
    header = json.dumps({**fields, **changed}).encode()
    rest = original[40 + end :] if body is None else body
    sealed = struct.pack(">I", len(header) if length is None else length) + header + rest
    with suppress(DamagedRecord):
        load(original[:4] + hashlib.sha256(sealed).digest() + sealed)
        identity = {name: value for name, value in changed.items() if name not in ("shape", "numbers")}
        assert {**fields, **identity} == fields

"""Records survive the way to Redis and back; anything else counts as damaged."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sam2_agent.core.records import (
    Answer,
    AnswerShape,
    dump_answer,
    dump_memory,
    load_answer,
    load_memory,
)
from sam2_agent.errors import DamagedRecord

NAME, MODEL = "a" * 64, "b" * 64
ANSWER = Answer(AnswerShape(type="polygon", points=[1.0, 2.5, 3.0]), np.arange(6, dtype=np.float32), -1.25)


@given(npst.arrays(np.float32, st.integers(1, 32)), st.floats(width=32, allow_nan=False))
def test_answers_come_back_bit_for_bit(pointer: np.ndarray, score: float) -> None:
    shape = AnswerShape(type="mask", points=[0.0, 5.0, 0.0, 0.0, 4.0, 0.0])
    found = load_answer(dump_answer(Answer(shape, pointer, score), NAME, MODEL), NAME, MODEL)
    assert found.pointer.tobytes() == pointer.tobytes()
    assert found.pointer.dtype == np.float32
    assert (found.score, found.shape) == (score, shape)


def test_a_lost_object_comes_back_as_lost() -> None:
    lost = Answer(None, ANSWER.pointer, -10.0)
    assert load_answer(dump_answer(lost, NAME, MODEL), NAME, MODEL).shape is None


@given(st.binary(max_size=500))
def test_memories_come_back_bit_for_bit(memory: bytes) -> None:
    assert load_memory(dump_memory(memory, NAME, MODEL), NAME, MODEL) == memory


@given(st.data())
def test_every_flipped_bit_is_noticed(data: st.DataObject) -> None:
    record = bytearray(dump_answer(ANSWER, NAME, MODEL))
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedRecord):
        load_answer(bytes(record), NAME, MODEL)


@given(st.integers(0, 400))
def test_every_truncation_is_noticed(length: int) -> None:
    record = dump_answer(ANSWER, NAME, MODEL)
    with pytest.raises(DamagedRecord):
        load_answer(record[: min(length, len(record) - 1)], NAME, MODEL)


@given(st.binary(max_size=300))
def test_noise_is_no_record(noise: bytes) -> None:
    with pytest.raises(DamagedRecord):
        load_answer(noise, NAME, MODEL)


def test_records_of_others_do_not_count() -> None:
    record = dump_answer(ANSWER, NAME, MODEL)
    for name, model in (("c" * 64, MODEL), (NAME, "c" * 64)):
        with pytest.raises(DamagedRecord, match="another"):
            load_answer(record, name, model)
    with pytest.raises(DamagedRecord, match="another"):
        load_memory(record, NAME, MODEL)


def test_points_are_compressed_and_come_back_exactly() -> None:
    points = [float(number) for number in range(1000, 3000)] + [0.1, -2.5e-7]
    record = dump_answer(Answer(AnswerShape(type="polygon", points=points), ANSWER.pointer, 1.0), NAME, MODEL)
    assert len(record) < 6000
    found = load_answer(record, NAME, MODEL).shape
    assert found is not None
    assert found.points == points


@pytest.mark.parametrize(
    "points",
    [
        zlib.compress(b"[" + b"1," * 2**26 + b"1]"),
        zlib.compress(b"[1, NaN]"),
        zlib.compress(b'["1"]'),
        zlib.compress(b"[1]") + b"more",
        zlib.compress(b"[1]")[:-2],
        b"[1]",
        b"",
    ],
    ids=["bomb", "not finite", "text", "more", "cut off", "not compressed", "none"],
)
def test_points_that_cannot_be_read_count_as_damaged(points: bytes) -> None:
    record = dump_answer(ANSWER, NAME, MODEL)
    [at] = [at for at in range(len(record)) if record[at:].startswith(zlib.compress(b"[1.0,2.5,3.0]"))]
    sealed = record[36:at] + points
    with pytest.raises(DamagedRecord, match="points"):
        load_answer(record[:4] + hashlib.sha256(sealed).digest() + sealed, NAME, MODEL)


def test_a_newer_format_counts_as_missing() -> None:
    record = dump_answer(ANSWER, NAME, MODEL)
    newer = record[36:].replace(b'"format":2', b'"format":3')
    with pytest.raises(DamagedRecord, match="another format"):
        load_answer(record[:4] + hashlib.sha256(newer).digest() + newer, NAME, MODEL)

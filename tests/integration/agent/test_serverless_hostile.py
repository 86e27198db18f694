"""Whatever a caller sends is answered or refused in one short sentence; little never makes much of itself."""

from __future__ import annotations

import base64
import io
import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sam2_agent.adapters.images import decode
from sam2_agent.core import calls
from sam2_agent.errors import RequestRefused
from tests.fuzz.strategies import edited, edited_bytes, json_values
from tests.fuzz.test_bombs import bounded

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def image(kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(3).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def payload(**parts: Any) -> bytes:
    usual = {"image": base64.b64encode(image()).decode(), "shapes": [[2, 2, 9, 9]], "states": []}
    return json.dumps({**usual, **parts}).encode()


def read(body: bytes) -> None:
    """Read a call and its image; a refusal must be fit for an annotator."""
    try:
        decode(calls.parse(body).image, "The image")
    except RequestRefused as refused:
        sentence = str(refused)
        assert len(sentence) < 300
        assert sentence.isprintable()
        assert "Traceback" not in sentence


@given(edited(payload().decode()))
def test_an_edited_call(text: str) -> None:
    read(text.encode(errors="surrogatepass"))


@given(json_values, json_values, json_values)
def test_any_json(picture: Any, shapes: Any, states: Any) -> None:
    try:
        body = payload(image=picture, shapes=shapes, states=states)
    except ValueError:  # an integer with more digits than Python writes
        return
    read(body)


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    read(body)


@given(st.integers(0, len(payload())))
def test_a_call_that_is_cut_off(length: int) -> None:
    with pytest.raises(RequestRefused):
        calls.parse(payload()[: min(length, len(payload()) - 1)])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.filterwarnings("ignore")  # Pillow's, about the files
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_broken_image(kind: str, data: st.DataObject) -> None:
    whole = image(kind)
    broken = data.draw(edited_bytes(whole) | st.integers(0, len(whole)).map(lambda end: whole[:end]))
    read(payload(image=base64.b64encode(broken).decode()))


def test_an_image_that_is_cut_off_is_refused() -> None:
    for kind in FORMATS:
        assert decode(image(kind), "The image").shape == (24, 32, 3)
        if kind != "GIF":  # what is missing of one is black
            with pytest.raises(RequestRefused, match="cannot be read as an image"):
                decode(image(kind)[: len(image(kind)) // 2], "The image")


def test_a_small_file_of_a_huge_image_is_refused() -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    with bounded(64, 5), pytest.raises(RequestRefused, match=r"too large|at most 80,000,000"):
        decode(file.getvalue(), "The image")


def repeated(what: str, count: int) -> str:
    return ",".join([what] * count)


MANY = 2**20

BOMBS = {
    "lists": (f'"shapes":[{repeated("[]", MANY)}]', "more parts than"),
    "objects": (f'"shapes":[{repeated("{}", MANY)}]', "more parts than"),
    "lists nobody asked for": (f'"other":[{repeated("[]", MANY)}],"shapes":[null]', "more parts than"),
    "numbers": (f'"shapes":[[{repeated("1.5", 4 * MANY)}]]', "more parts than"),
    "keys": (f'"shapes":[{{{repeated(chr(34) * 2 + ":0", 4 * MANY)}}}]', "more parts than"),
    "100,000 shapes": (
        f'"shapes":[{repeated(json.dumps({"type": "rectangle", "points": [1, 2, 3, 4]}), 100_000)}]',
        "100000 objects are too many",
    ),
    "depth": ('"shapes":' + "[" * 100_000, "not understood"),
    "depth of objects": ('"shapes":' + '{"a":' * 100_000, "not understood"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(name: str) -> None:
    text, sentence = BOMBS[name]
    body = f'{{"image":"",{text}}}'.encode()
    with bounded(100, 5), pytest.raises(RequestRefused, match=sentence):
        calls.parse(body)


def test_an_image_that_is_no_base64_takes_no_more_room_than_its_bytes() -> None:
    body = '{"image":"😀'.encode() + b"A" * 2**25 + b'","shapes":[[1,2,3,4]]}'
    with bounded(100, 5), pytest.raises(RequestRefused, match="not base64"):
        calls.parse(body)


def test_the_largest_calls_that_people_make_are_read() -> None:
    rng = random.Random(1)
    points = [float(rng.randint(1, 9)) for _ in range(40_000)]
    body = payload(image="A" * 60_000_000, shapes=[{"type": "mask", "points": points}] * 32)
    with bounded(400, 10):
        assert len(calls.parse(body).objects) == 32

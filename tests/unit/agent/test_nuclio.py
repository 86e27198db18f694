"""The function for Nuclio without a model: what becomes of a worker whose device fails."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import nuclio_sdk
import pytest
from nuclio_sdk.logger import HumanReadableFormatter
from PIL import Image

from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_records import RedisRecords
from sam2_agent.errors import DeviceLost, DeviceOutOfMemory
from sam2_agent.nuclio import Function
from tests.nuclio_processor import imported
from tests.toy_tracker import ToyTracker

MAIN = Path(__file__).parents[3] / "nuclio" / "main.py"


class Ended(BaseException):
    """The worker's process is over."""


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(os, "_exit", end)
    return imported(MAIN)


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def context(log: io.StringIO) -> Any:
    logger = nuclio_sdk.Logger(level=20)
    logger.set_handler("default", log, HumanReadableFormatter())
    return nuclio_sdk.Context(logger=logger, worker_id=0)


def test_a_worker_whose_device_is_lost_is_replaced(main: ModuleType, context: Any, log: io.StringIO) -> None:
    class Broken:
        def answer(self, _body: object) -> None:
            raise DeviceLost("The device cuda failed.")

    context.user_data.function = Broken()
    with pytest.raises(Ended):
        main.handler(context, nuclio_sdk.Event(body=b"{}"))
    assert "The device cuda failed." in log.getvalue()


class Full(ToyTracker):
    """A model whose device has no memory left, while it is `full`."""

    full = True

    def encode(self, image: Any) -> Any:
        if self.full:
            raise DeviceOutOfMemory("The memory of cuda is full.")
        return super().encode(image)


def test_a_worker_whose_device_stays_full_is_replaced(main: ModuleType, context: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (32, 24)).save(file, "PNG")
    encoded = base64.b64encode(file.getvalue()).decode()
    body = json.dumps({"image": encoded, "shapes": [{"type": "mask", "points": [2, 2, 9, 9]}]}).encode()
    records = RedisRecords(connect("redis://127.0.0.1:1/0", None), prefix="s2t:{u}:", seconds=100)
    context.user_data.function = function = Function(Full(), records, frozenset({"mask"}))
    event = nuclio_sdk.Event(body=body)
    for _ in range(2):
        assert main.handler(context, event).status_code == 400
    with pytest.raises(Ended):
        main.handler(context, event)
    function.close()

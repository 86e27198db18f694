"""A function of Nuclio: the same answers without an agent around them.

Nuclio decides how many workers there are, and each answers whatever it is given: there is no lease.  Names of
steps follow from what is called, and answers are written once, so workers give the same; what an agent has
besides (one at a time, draining, probes) is Nuclio's here.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, SecretStr

from sam2_agent import settings
from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.images import decode
from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_records import RedisRecords
from sam2_agent.adapters.sam2_warmup import load_warm
from sam2_agent.adapters.uncounted import Uncounted
from sam2_agent.answers import serverless
from sam2_agent.core import calls
from sam2_agent.core.patience import Patience
from sam2_agent.core.serverless import Serverless
from sam2_agent.core.starvation import Starvation
from sam2_agent.core.tracking import ShapeType, Tracker
from sam2_agent.errors import InvalidSettings, RequestRefused, Unavailable
from sam2_agent.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

HOST, PORT, PASSWORD = (f"CVAT_FUNCTIONS_REDIS_{name}" for name in ("HOST", "PORT", "PASSWORD"))
KEY_PREFIX = "s2t:{nuclio}:"


class Function:
    """Answers calls, one at a time, in an event loop of its own."""

    def __init__(self, tracker: Tracker, records: RedisRecords, shape_types: frozenset[ShapeType]) -> None:
        self._loop = asyncio.new_event_loop()
        self._records = records
        self._starvation = Starvation()
        self._serverless: Serverless = serverless(
            tracker=tracker,
            compute=_here,
            records=records,
            clock=BootClock(),
            events=Uncounted(),
            rng=random.SystemRandom(),
            decode=_decode,
            shape_types=shape_types,
            patience=Patience(),
        )

    def answer(self, body: object) -> tuple[int, dict[str, JsonValue] | str]:
        """Return the HTTP status, and the answer or a sentence.

        `body` is what Nuclio made of the call's: JSON that it has parsed, or bytes.  Raises `GaveUp` where
        the process has to end.
        """
        try:
            call = calls.parse(body) if isinstance(body, bytes) else calls.read(body)
            with self._starvation.noticed():
                return 200, self._loop.run_until_complete(self._serverless.answer(call, ""))
        except RequestRefused as refused:
            return 400, str(refused)
        except Unavailable as trouble:
            return 503, str(trouble)

    def close(self) -> None:
        """Close the connections."""
        self._loop.run_until_complete(self._records.close())
        self._loop.close()


def load() -> Function:
    """Load the model and return the function; raises `GaveUp` with a sentence."""
    chosen = read_settings()
    # Between calls nothing runs that would notice a connection that was closed, and nobody calls again.
    client = connect(chosen.read_redis_url(), chosen.redis_ca_file, attempts=2)
    records = RedisRecords(client, prefix=chosen.key_prefix, seconds=chosen.state_ttl_seconds)
    return Function(load_warm(chosen), records, chosen.shape_types)


def read_settings() -> Settings:
    """Read what CVAT tells its functions of Redis, and the agent's own settings of model and device."""
    settings.require_known(Settings, os.environ)
    host = os.environ.get(HOST)
    if not host:
        raise InvalidSettings(f"{HOST} is not set; it names the Redis, or Kvrocks, that keeps the tracks.")
    password = os.environ.get(PASSWORD)
    login = f":{quote(password, safe='')}@" if password else ""
    url = f"redis://{login}{host}:{os.environ.get(PORT) or 6379}/0"
    prefix = os.environ.get(settings.PREFIX + "KEY_PREFIX") or KEY_PREFIX
    return settings.build(Settings, redis_url=SecretStr(url), key_prefix=prefix)


async def _here(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Compute in this thread: nothing else goes on in it."""
    return function(*args, **kwargs)


def _decode(image: bytes) -> NDArray[np.uint8]:
    return decode(image, "The image")

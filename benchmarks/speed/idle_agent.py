"""An agent that has every answer ready: what network, CVAT and browser take by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import urllib3

from tests.integration.cvat_standin.caller import Agent, Caller


@contextmanager
def idle_agent(url: str, function: int, token: str) -> Iterator[None]:
    """Answer the function's requests at once, in a thread that ends with CVAT: no object is ever seen."""
    call = Caller(url, token)
    with call.stream(f"/api/functions/queues/function:{function}/watch") as stream:
        thread = threading.Thread(target=_serve, args=(Agent(call, function), stream), daemon=True)
        thread.start()
        yield


def _serve(agent: Agent, stream: Any) -> None:
    with suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
        while (line := stream.line()) is not None:
            # Each request is announced once, and there is only one at a time: no other call comes between.
            if line.startswith("data:") and (assignment := agent.acquire()):
                agent.report(assignment["ar_id"], "complete", **_answer(assignment["ar_params"]))


def _answer(parameters: dict[str, Any]) -> dict[str, Any]:
    if parameters["type"] == "init_tracking":
        return {"states": [str(number) for number in range(len(parameters["shapes"]))]}
    states = parameters["states"]
    return {"states": states, "shapes": [None] * len(states)}

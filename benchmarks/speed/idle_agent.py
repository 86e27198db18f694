"""An agent that has every answer ready: what network, CVAT and browser take by themselves."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import urllib3

from tests.integration.cvat_standin.caller import Agent, Caller


def start_idle_agent(url: str, function: int, token: str) -> None:
    """Answer the function's requests at once, in a thread that ends with CVAT: no object is ever seen."""
    watching = threading.Event()
    threading.Thread(target=_serve, args=(url, function, token, watching), daemon=True).start()
    if not watching.wait(30):
        raise RuntimeError("The idle agent cannot watch its queue.")


def _serve(url: str, function: int, token: str, watching: threading.Event) -> None:
    call = Caller(url, token)
    agent = Agent(call, function)
    path = f"/api/functions/queues/function:{function}/watch"
    with suppress(urllib3.exceptions.HTTPError, OSError), call.stream(path) as stream:
        watching.set()
        while (line := stream.line()) is not None:
            # Each request is announced once, and there is only one at a time: no other call comes between.
            if line.startswith("data:") and (assignment := agent.acquire()):
                agent.report(assignment["ar_id"], "complete", **_answer(assignment["ar_params"]))


def _answer(parameters: dict[str, Any]) -> dict[str, Any]:
    if parameters["type"] == "init_tracking":
        return {"states": [str(number) for number in range(len(parameters["shapes"]))]}
    states = parameters["states"]
    return {"states": states, "shapes": [None] * len(states)}

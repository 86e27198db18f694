"""The model's process: `python -m sam2_agent.model MODEL MEMORY APART APART_MEMORY`.

It has the agent's own settings.  The arguments are descriptors of two channels that the agent holds the other
ends of; `adapters/model_process.py` starts it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from sam2_agent import settings
from sam2_agent.adapters import logs
from sam2_agent.adapters.model_calls import Failed, Ready
from sam2_agent.adapters.model_channel import Channel
from sam2_agent.adapters.model_server import ModelServer
from sam2_agent.adapters.sam2_warmup import load_warm
from sam2_agent.core.tracking import Tracker
from sam2_agent.errors import GaveUp
from sam2_agent.settings import Settings

log = logging.getLogger("sam2_agent")


class Loaded(Tracker, Protocol):
    """A tracker that says how large the frames are that it reads."""

    @property
    def side(self) -> int:
        """Rows and columns."""


def main(
    model: Channel,
    apart: Channel,
    load: Callable[[Settings], Loaded] = load_warm,
) -> None:
    """Load the model, say so, and answer until the agent is gone; never returns."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the agent says when it is over
    loaded: Future[ModelServer] = Future()
    threading.Thread(target=_attend, args=(apart, loaded), daemon=True, name="apart").start()
    try:
        chosen = settings.load(os.environ)
        logs.configure(chosen.log_format)
        tracker = load(chosen)
    except GaveUp as error:
        model.send(Failed(error, traceback.format_exc()))
    except Exception as error:
        log.exception("Loading the model met a bug")
        model.send(Failed(RuntimeError(f"{type(error).__name__}: {error}"), traceback.format_exc()))
    else:
        server = ModelServer(tracker)
        loaded.set_result(server)
        model.send(Ready(tracker.fingerprint, tracker.batch_size, tracker.side))
        server.serve(model)
    _end()


def ends(arguments: Sequence[str]) -> tuple[Channel, Channel]:
    """The ends of both channels, from the program's arguments."""
    socket, memory, apart_socket, apart_memory = map(int, arguments)
    return Channel.given((socket, memory)), Channel.given((apart_socket, apart_memory))


def _attend(apart: Channel, loaded: Future[ModelServer]) -> None:
    """Answer the second line; when it closes, end at once whatever the model is doing or loading."""
    try:
        apart.wait()
        if loaded.done():
            loaded.result().serve(apart)
    except Exception:
        log.exception("Answering the agent met a bug")
    _end()


def _end() -> None:
    logging.shutdown()
    # Not sys.exit: it would wait for threads that may still download a model.
    os._exit(0)


if __name__ == "__main__":
    main(*ends(sys.argv[1:]))

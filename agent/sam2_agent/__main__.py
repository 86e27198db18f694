"""Run the agent: `python -m sam2_agent`, with settings from the environment (docs/agent.md)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from pathlib import Path

from sam2_agent import settings
from sam2_agent.adapters import logs
from sam2_agent.adapters.model_process import ModelProcess
from sam2_agent.errors import GaveUp, InvalidSettings

log = logging.getLogger("sam2_agent")

MAX_MESSAGE_BYTES = 4096
"""Kubernetes keeps no more of a termination message."""


def main() -> int:
    """Run until told to stop; return the exit status."""
    termination_file = Path(
        os.environ.get(settings.PREFIX + "TERMINATION_MESSAGE_FILE", "/dev/termination-log")
    )
    try:
        chosen = settings.load(os.environ)
        logs.configure(chosen.log_format)
        # Until the event loop answers signals; a container's first process would ignore this one otherwise.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        model = ModelProcess()
        # What is imported here takes as long as the model does to import torch, and so do both at once.
        from sam2_agent.wiring import run  # noqa: PLC0415

        asyncio.run(run(chosen, model))
    except InvalidSettings as error:
        logs.configure("text")
        return _give_up(error, termination_file)
    except GaveUp as error:
        return _give_up(error, termination_file)
    except Exception:
        log.exception("The agent met a bug")
        return _give_up(GaveUp("The agent met an internal error; its log says more."), termination_file)
    return 0


def _give_up(error: GaveUp, termination_file: Path) -> int:
    """Leave the reason where Kubernetes finds it; return the exit status."""
    log.error("The agent gives up: %s", error, extra={"reason": error.reason})
    message = str(error)
    while len(text := json.dumps({"reason": error.reason, "message": message})) > MAX_MESSAGE_BYTES:
        message = message[: len(message) // 2]
    try:
        termination_file.write_text(text, encoding="utf-8")
    except OSError:
        log.debug("There is no termination message file; the agent runs by hand")
    return error.exit_status


if __name__ == "__main__":
    exit_status = main()
    logging.shutdown()
    # Not sys.exit: it would wait for threads that may still wait for CVAT.
    os._exit(exit_status)

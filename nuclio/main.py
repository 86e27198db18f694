"""SAM2 tracking as a function of Nuclio: `nuctl deploy`, or CVAT's own deploy scripts (docs/nuclio.md)."""

from __future__ import annotations

import json
import os
from typing import Any

from sam2_agent import nuclio
from sam2_agent.errors import GaveUp


def init_context(context: Any) -> None:
    """Load the model, once for each worker."""
    context.user_data.function = nuclio.load()
    context.logger.info("The model is loaded")


def handler(context: Any, event: Any) -> Any:
    """Answer one call of CVAT."""
    try:
        status, told = context.user_data.function.answer(event.body)
    except GaveUp as error:
        context.logger.error_with("The function gives up", reason=error.reason, sentence=str(error))
        os._exit(1)  # the processor starts another
    if isinstance(told, str):
        return context.Response(body=told, headers={}, content_type="text/plain", status_code=status)
    return context.Response(
        body=json.dumps(told), headers={}, content_type="application/json", status_code=status
    )

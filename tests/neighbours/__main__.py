"""`python -m tests.neighbours`: freeze what this version writes and reads, as its release does."""

from __future__ import annotations

import json
from pathlib import Path

from sam2_agent import VERSION
from sam2_agent.adapters.redis_store import COMMANDS
from sam2_agent.core.status import Report
from sam2_agent.settings import PREFIX, QueueSettings, ServerlessSettings
from sam2_operator.api.crd import rendered
from tests.neighbours.pods import SPECS, template

HERE = Path(__file__).parent


def freeze(folder: Path) -> None:
    """Write the files of one version."""
    folder.mkdir(exist_ok=True)
    report = Report(
        version=VERSION,
        phase="Serving",
        ready=True,
        reason="Serving",
        message="Tracking requests are answered.",
        leaseHeld=True,
        leaseEpoch=1,
        cvatAnsweredSecondsAgo=0.5,
        redisAnsweredSecondsAgo=0.5,
        modelFingerprint="abc",
    )
    fields = QueueSettings.model_fields | ServerlessSettings.model_fields
    settings = [str(field.validation_alias or PREFIX + name.upper()) for name, field in fields.items()]
    files = {
        "crd.yaml": rendered(),
        "pods.json": _json({name: template(spec) for name, spec in SPECS.items()}),
        "settings.json": _json(settings),
        "commands.json": _json(list(COMMANDS)),
        "status.json": _json(report.model_dump()),
    }
    for name, text in files.items():
        (folder / name).write_text(text)


def _json(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    freeze(HERE / VERSION)

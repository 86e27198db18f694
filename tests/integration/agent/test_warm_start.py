"""A model on a GPU is ready when it has run once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sam2_agent.adapters.model_calls import Failed
from sam2_agent.adapters.model_channel import channel
from sam2_agent.errors import DeviceOutOfMemory
from tests.integration.agent.agent_process import AgentProcess


def test_a_gpu_without_room_for_a_frame_is_told_and_not_that_the_model_is_ready(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    settings = {
        "CVAT_URL": "http://localhost",
        "CVAT_CREDENTIALS_DIR": str(tmp_path),
        "FUNCTION_ID": "1",
        "REDIS_URL": "redis://localhost",
    }
    environment = AgentProcess(tmp_path, settings).environment
    ours, model = channel()
    ours_apart, apart = channel()
    with ours, ours_apart:
        with model, apart:
            descriptors = (*model.descriptors, *apart.descriptors)
            command = [sys.executable, "-m", "tests.integration.agent.full_gpu", *map(str, descriptors)]
            process = subprocess.Popen(command, pass_fds=descriptors, env=environment)
        said = ours.receive()
    assert process.wait(30) == 0

    assert isinstance(said, Failed)
    assert isinstance(said.error, DeviceOutOfMemory), said.told

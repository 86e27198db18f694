"""The stand-in as a program: it says when it is ready, starts from a seed, logs calls and stops when told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cvat_standin.client import CVAT
from tests.integration.cvat_standin.caller import Asking, Caller
from tests.integration.cvat_standin.scene import video


def test_it_runs_from_a_seed_and_stops_in_the_middle_of_calls(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(
        json.dumps(
            {
                "users": [{"username": "ann", "password": "secret-word", "token": "secret-token"}],
                "organizations": [{"slug": "lab", "owner": "ann"}],
            }
        )
    )
    command = [sys.executable, "-m", "tests.cvat_standin", "--port", "0", "--seed-file", str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip().removeprefix("CVAT stand-in ready on ")
        call = Caller(url, "secret-token", X_Organization="lab")
        function = call.create_function()
        cvat = CVAT(url)
        task = cvat.add_task(video(1), "ann", organization="lab")
        asking = Asking(call, function, {"type": "track", "task": task, "frame": 0, "states": ["s"]})
        cvat.wait_for_request(function, "queued")
        with call.stream(f"/api/functions/queues/function:{function}/watch") as stream:
            assert stream.line() == "retry: 5000"
            cvat.wait_for_watchers(function)
            process.terminate()
            assert stream.line() is None
        assert asking.answer().status == 503
        cvat.close()
    finally:
        process.terminate()
        output, errors = process.communicate(timeout=20)
    first = json.loads(output.splitlines()[0])
    assert (first["method"], first["path"], first["status"]) == ("POST", "/api/functions", 201)
    assert (first["user"], first["organization"]) == ("ann", "lab")
    assert "secret" not in output
    assert errors == ""


def test_a_wrong_seed_is_refused_with_its_reason(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text('{"user": []}')
    command = [sys.executable, "-m", "tests.cvat_standin", "--seed-file", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "user" in done.stderr


def test_the_server_needs_few_packages() -> None:
    """Its image has neither cvat-sdk nor anything of the agent's."""
    listing = "import sys, tests.cvat_standin.__main__; print(*{n.split('.')[0] for n in sys.modules})"
    command = [sys.executable, "-c", listing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "starlette" in loaded
    assert loaded.isdisjoint({"cvat_sdk", "torch", "sam2", "cv2", "urllib3", "cryptography", "pytest"})
    assert loaded.isdisjoint({"sam2_agent", "sam2_operator"})

"""The stand-in is CVAT-like and not us-like: unmodified cvat-cli registers a function and serves it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cvat_standin.annotator import Annotator, RunError
from tests.cvat_standin.client import CVAT
from tests.integration.cvat_standin.scene import draw, green_polygon, red_mask, video

FUNCTION_FILE = Path(__file__).with_name("shift_tracker.py")
START_SECONDS = 60.0


@pytest.fixture
def stock_cli(cvat: CVAT, tmp_path: Path) -> StockCli:
    return StockCli(cvat, tmp_path)


class StockCli:
    """cvat-cli as a user runs it, with a home of its own."""

    def __init__(self, cvat: CVAT, home: Path) -> None:
        self._cvat = cvat
        self._home = home

    def create_function(self, name: str, options: Sequence[str], secrets: Mapping[str, str]) -> int:
        command = self._command(options, "create-native", name, "--function-file", str(FUNCTION_FILE))
        done = subprocess.run(
            command,
            env=self._environment(secrets),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    @contextmanager
    def agent(self, function_id: int, options: Sequence[str], secrets: Mapping[str, str]) -> Iterator[None]:
        """The stock agent, from when it watches its queue."""
        command = self._command(options, "run-agent", str(function_id), "--function-file", str(FUNCTION_FILE))
        log = self._home / "agent.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=self._environment(secrets),
                stderr=output,
                stdout=output,
                start_new_session=True,  # it has worker processes, which outlive it when it is terminated
            )
            try:
                self._cvat.wait_for_watchers(function_id, within=START_SECONDS)
                yield
                assert process.poll() is None, log.read_text()
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(START_SECONDS)

    def _command(self, options: Sequence[str], *action: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "cvat_cli",
            "--server-host",
            self._cvat.url,
            *options,
            "function",
            *action,
        ]

    def _environment(self, secrets: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._home), "LANG": "C.UTF-8", **secrets}


def test_stock_agent_tracks_a_mask_and_a_polygon(cvat: CVAT, stock_cli: StockCli) -> None:
    ann = cvat.add_user("ann")
    task = cvat.add_task(video(6), "ann", deleted_frames=[3])
    options, secrets = ["--auth", "ann"], {"PASS": ann.password}
    function = stock_cli.create_function("Shift", options, secrets)
    assert cvat.function(function).supported_shape_types == ["mask", "polygon"]

    seen: list[int] = []
    with (
        stock_cli.agent(function, options, secrets),
        Annotator(cvat.url, ann.username, ann.password) as annotator,
    ):
        track = annotator.track(
            annotator.choose("Shift").id,
            task,
            [red_mask(0), green_polygon(0)],
            start=0,
            stop=5,
            on_frame=lambda frame: seen.append(frame.frame),
        )

    assert seen == [0, 1, 2, 4, 5]
    assert [frame.shapes for frame in track.frames] == [(red_mask(i), green_polygon(i)) for i in seen]
    assert all(frame.milliseconds > 0 for frame in track.frames)
    assert {record.status for record in cvat.requests(function)} == {"finished"}


def test_stock_agent_serves_an_organization_by_access_token(cvat: CVAT, stock_cli: StockCli) -> None:
    agent, ann = cvat.add_user("agent"), cvat.add_user("ann")
    cvat.add_organization("lab", "agent", {"ann": "worker"})
    frames = [draw(0), draw(1), draw(2, red=False), draw(3)]
    task = cvat.add_task(frames, "agent", organization="lab", assignees=["ann"])
    options, secrets = ["--org", "lab"], {"CVAT_ACCESS_TOKEN": agent.token}
    function = stock_cli.create_function("Shift", options, secrets)
    assert cvat.function(function).organization == "lab"

    with (
        stock_cli.agent(function, options, secrets),
        Annotator(cvat.url, ann.username, ann.password, organization="lab") as annotator,
    ):
        track = annotator.track(
            annotator.choose("Shift").id, task, [red_mask(0), green_polygon(0)], start=0, stop=3
        )
        assert [frame.shapes[0] for frame in track.frames] == [red_mask(0), red_mask(1), None, red_mask(3)]

        corrected = annotator.correct(track, 1, {0: red_mask(1), 1: green_polygon(1)})
        assert corrected.frames[0] == track.frames[0]
        assert [frame.shapes for frame in corrected.frames] == [frame.shapes for frame in track.frames]

        cvat.faults.status("POST /api/functions/{id}/run", 500, detail="Agent restarting.", skip=2)
        stubborn = Annotator(cvat.url, ann.username, ann.password, organization="lab", retries=1)
        with stubborn:
            again = stubborn.track(function, task, [red_mask(0), green_polygon(0)], start=0, stop=3)
        assert again.complaints == ("Agent restarting.",)
        assert [frame.shapes for frame in again.frames] == [frame.shapes for frame in track.frames]

        with pytest.raises(RunError, match="not found - possibly expired"):
            annotator.run(function, {"type": "track", "task": task, "frame": 1, "states": ["made up"]})

    calls = [entry for entry in cvat.log("POST /api/functions/**") if entry.fault is None]
    assert {entry.organization for entry in calls} == {"lab"}
    [agent_id] = {entry.agent_id for entry in calls if "/queues/" in entry.path}
    assert agent_id is not None
    assert len(agent_id) == 32


def test_stock_agent_without_access_to_the_task_says_so(cvat: CVAT, stock_cli: StockCli) -> None:
    agent, ann = cvat.add_user("agent"), cvat.add_user("ann")
    cvat.add_organization("lab", "agent", {"ann": "worker"})
    task = cvat.add_task(video(2), "ann")
    options, secrets = ["--org", "lab"], {"CVAT_ACCESS_TOKEN": agent.token}
    function = stock_cli.create_function("Shift", options, secrets)

    with (
        stock_cli.agent(function, options, secrets),
        Annotator(cvat.url, ann.username, ann.password) as annotator,
        pytest.raises(RunError, match="Received HTTP status 403") as failure,
    ):
        annotator.track(function, task, [red_mask(0)], start=0, stop=1)
    assert failure.value.status == 500

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.processes import Processes
from tests.cluster.waiting import wait_until


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    started.stop("it")


def test_it_runs_until_it_is_stopped(processes: Processes) -> None:
    processes.start("it", ["sleep", "infinity"])
    pid = processes.pid("it")
    assert pid is not None
    processes.start("it", ["sleep", "infinity"])
    assert processes.pid("it") == pid
    processes.stop("it")
    assert processes.pid("it") is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_another_one_knows_it_by_the_folder(processes: Processes, tmp_path: Path) -> None:
    processes.start("it", ["sleep", "infinity"])
    assert Processes(tmp_path).pid("it") == processes.pid("it")


def test_a_process_that_has_the_id_by_chance_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    (tmp_path / "pids" / "it").write_text(f"{os.getpid()} 1")
    assert processes.pid("it") is None
    processes.stop("it")


def test_who_ended_is_told_with_its_last_words(processes: Processes) -> None:
    processes.start("it", ["sh", "-c", "echo no such volume >&2; exit 3"])
    assert wait_until(lambda: processes.pid("it") is None, 10)
    with pytest.raises(ClusterError, match="no such volume"):
        processes.require("it")


def test_one_that_ignores_the_request_to_end_is_killed(processes: Processes) -> None:
    processes.start("it", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    assert wait_until(lambda: processes.tail("it") == "ready", 10)
    processes.stop("it", patience=0.2)
    assert processes.pid("it") is None

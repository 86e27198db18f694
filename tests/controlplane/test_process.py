"""The operator as a process: woken by watches, healthy, without traces of its own, ended in order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.controlplane.surroundings import ADMIN_PASSWORD, REPOSITORY
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow]


class OperatorProcess:
    """A running `python -m sam2_operator`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self._port, self._log = process, port, log

    def get(self, path: str) -> tuple[int, str]:
        try:
            answer = urllib3.request("GET", f"http://127.0.0.1:{self._port}{path}", retries=False, timeout=5)
        except urllib3.exceptions.HTTPError:
            return 0, ""
        return answer.status, answer.data.decode()

    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def operating(
    kubeconfig: Path, redis: RedisServer, folder: Path, **settings: str
) -> Iterator[OperatorProcess]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    usual = {
        "HTTP_PORT": str(port),
        "INSTANCE": "operator-0",
        "AGENT_IMAGE": "sam2-tracker-agent:test",
        "REDIS_URL": f"redis://admin@127.0.0.1:{redis.port}/0",
        "REDIS_PASSWORD_FILE": str(password),
        "LOG_FORMAT": "json",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAM2_")}
    environment |= {f"SAM2_OPERATOR_{name}": value for name, value in usual.items()}
    environment |= {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(REPOSITORY / "operator")}
    log = folder / "operator.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "sam2_operator"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    operator = OperatorProcess(process, port, log)
    try:
        wait_for(lambda: operator.get("/readyz")[0] == 200 or process.poll() is not None, "the operator")
        yield operator
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()


def test_watches_wake_it(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> None:
    # With an interval of an hour only a watch can be what woke it.
    slow = {"INTERVAL_SECONDS": "3600", "NAMESPACES": namespace.name}
    with operating(cluster.kubeconfig, acl_redis, tmp_path, **slow) as operator:
        namespace.apply_tracker(annotation.url)
        wait_for(lambda: namespace.exists("statefulset", "cars-agent"), "the StatefulSet")
        wait_for(lambda: namespace.status().get("functionID"), "the function")
        uid = namespace.get("statefulset", "cars-agent")["metadata"]["uid"]
        namespace.delete("statefulset", "cars-agent")
        wait_for(
            lambda: (
                namespace.exists("statefulset", "cars-agent")
                and namespace.get("statefulset", "cars-agent")["metadata"]["uid"] != uid
            ),
            "the StatefulSet again",
            within=10,
        )
        assert operator.get("/livez")[0] == 200
        metrics = operator.get("/metrics")[1]
        assert 'sam2_operator_trackers{ready="false"} 1.0' in metrics
        assert "sam2_operator_functions_registered_total 1.0" in metrics
        namespace.delete("s2t", "cars", "--timeout=30s")
        assert annotation.functions() == []
    assert operator.process.returncode == 0
    lines = [json.loads(line) for line in operator.log().splitlines()]
    assert {line["level"] for line in lines} == {"info"}
    assert "token-of-ann" not in operator.log()


def test_a_misspelled_setting_is_told(
    cluster: RunningControlPlane, acl_redis: RedisServer, tmp_path: Path
) -> None:
    with operating(cluster.kubeconfig, acl_redis, tmp_path, INTERVALL="3") as operator:
        assert operator.process.wait(10) == 64
    assert "unknown variables: SAM2_OPERATOR_INTERVALL" in operator.log()


def test_it_leaves_no_trace_of_its_watching(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> None:
    with operating(cluster.kubeconfig, acl_redis, tmp_path, NAMESPACES=namespace.name):
        namespace.apply_tracker(annotation.url)
        wait_for(lambda: namespace.status().get("conditions"), "the status")
        metadata: dict[str, Any] = namespace.get("s2t", "cars")["metadata"]
        assert metadata["finalizers"] == ["sam2.dev/finalizer"]
        assert metadata.get("annotations", {}) == {}
        namespace.delete("s2t", "cars", "--timeout=30s")

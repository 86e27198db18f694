"""The operator as a process: woken by watches, healthy, without traces of its own, ended in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane.operating import operating
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow]


def test_watches_wake_it(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> None:
    # With an interval of an hour only a watch can be what woke it.
    slow = {"INTERVAL_SECONDS": "3600", "NAMESPACES": namespace.name}
    with operating(cluster.kubeconfig, acl_redis, tmp_path, slow) as operator:
        namespace.apply_tracker(annotation.url)
        wait_for(lambda: namespace.exists("statefulset", "cars-agent"), "the StatefulSet", within=60)
        wait_for(lambda: namespace.status().get("functionID"), "the function", within=60)
        uid = namespace.get("statefulset", "cars-agent")["metadata"]["uid"]
        namespace.delete("statefulset", "cars-agent")
        wait_for(
            lambda: (
                namespace.exists("statefulset", "cars-agent")
                and namespace.get("statefulset", "cars-agent")["metadata"]["uid"] != uid
            ),
            "the StatefulSet again",
            within=60,
        )
        assert operator.get("/livez")[0] == 200
        metrics = operator.get("/metrics")[1]
        assert 'sam2_operator_trackers{ready="false"} 1.0' in metrics
        assert "sam2_operator_trackers_not_ready{reason=" in metrics
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
    with operating(cluster.kubeconfig, acl_redis, tmp_path, {"INTERVALL": "3"}) as operator:
        assert operator.process.wait(10) == 64
    assert "unknown variables: SAM2_OPERATOR_INTERVALL" in operator.log()


def test_it_leaves_no_trace_of_its_watching(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> None:
    with operating(cluster.kubeconfig, acl_redis, tmp_path, {"NAMESPACES": namespace.name}):
        namespace.apply_tracker(annotation.url)
        wait_for(lambda: namespace.status().get("conditions"), "the status", within=60)
        metadata: dict[str, Any] = namespace.get("s2t", "cars")["metadata"]
        assert metadata["finalizers"] == ["sam2.dev/finalizer"]
        assert metadata.get("annotations", {}) == {}
        namespace.delete("s2t", "cars", "--timeout=30s")

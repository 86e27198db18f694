"""A CVAT that shows a function later than anybody may wait for: what an administrator reads and does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane import situations
from tests.controlplane.operating import operating
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace
    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane

SETTLE_SECONDS = 60.0


@pytest.mark.full  # the operator's own clock has to pass the settle time
@pytest.mark.timeout(300)
def test_an_administrator_reads_which_functions_are_too_many(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    *,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> None:
    settings = {"NAMESPACES": namespace.name, "AGENT_INTERVAL_SECONDS": "1", "INTERVAL_SECONDS": "2"}
    annotation.list_late()
    annotation.faults.drop_reply("POST /api/functions")
    with operating(cluster.kubeconfig, acl_redis, tmp_path, settings):
        namespace.apply_tracker(annotation.url)
        annotation.wait_for_calls("POST /api/functions", 2, within=2 * SETTLE_SECONDS)
        wait_for(lambda: namespace.status().get("functionID"), "the function", within=30)
        annotation.release_lists()
        served = namespace.status()["functionID"]
        (lost,) = [each.id for each in annotation.functions() if each.id != served]

        def described() -> str:
            return namespace.kubectl("-n", namespace.name, "describe", "s2t", "cars")

        wait_for(lambda: "DuplicateFunctions" in described(), "the condition", within=60, every=0.5)
        assert f"Function {served} is served." in described()
        assert f"cannot be proven to be this tracker's: {lost}. Delete them in CVAT" in described()
        assert namespace.condition("FunctionRegistered")["status"] == "True"

        annotation.forget_function(lost)  # as the message says
        wait_for(lambda: "DuplicateFunctions" not in described(), "its end", within=60, every=0.5)
        namespace.delete("s2t", "cars", "--timeout=60s")
    assert annotation.functions() == []
    assert situations.add("CVAT lists later than the settle time", Outcomes(converged=1)).good

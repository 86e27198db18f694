"""The gateway on a real API server, as its account of the chart: woken by watches, with no right unused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.controlplane import account
from tests.controlplane.account import Account, requests
from tests.controlplane.harness import tracker_manifest
from tests.cvat_standin.client import wait_for
from tests.integration.gateway.process import Gateway, gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace

pytestmark = [pytest.mark.controlplane, pytest.mark.slow]

VALUES = "--set=gateway.enabled=true,gateway.requireSecret=true"


@pytest.fixture
def gateways(cluster: RunningControlPlane) -> Account:
    """The gateway's account."""
    made = account.make(cluster, "gateway-account", VALUES)
    return Account(cluster, made.namespace, "suite-gateway")


@pytest.fixture
def running(cluster: RunningControlPlane, gateways: Account, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that only a watch can wake within the hour."""
    content: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"] = [
        {"name": each["name"], "user": {"token": gateways.token()}} for each in content["users"]
    ]
    config = tmp_path / "kubeconfig"
    config.write_text(yaml.safe_dump(content))
    with gateway(config, tmp_path, INTERVAL_SECONDS="600") as process:
        wait_for(process.is_ready, "the gateway", within=60)
        yield process


def shown(running: Gateway, namespace: Namespace) -> set[str]:
    """Its functions of this namespace."""
    found = running.get("/api/functions").json
    return {name for name in found if name.startswith(f"{namespace.name}.")}


def say_ready(namespace: Namespace, *, ready: bool) -> None:
    condition = {
        "type": "Ready",
        "status": str(ready),
        "reason": "Serving",
        "message": "Said by the test.",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    namespace.patch("s2t", "cars", {"status": {"conditions": [condition]}}, "--subresource=status")


def test_it_follows_the_cluster(running: Gateway, namespace: Namespace, gateways: Account) -> None:
    wanted = tracker_manifest(namespace.name, "")
    wanted["spec"]["cvat"] = {"interface": "Serverless"}
    wanted["spec"]["function"] = {"name": "Cars"}
    namespace.kubectl.apply(wanted, tracker_manifest(namespace.name, "https://cvat.example", "others"))
    name = f"{namespace.name}.cars"
    single = f"/api/functions/{name}"
    wait_for(lambda: running.get(single).status == 200, "the tracker to be known", within=60)
    assert shown(running, namespace) == set()
    say_ready(namespace, ready=True)
    wait_for(lambda: shown(running, namespace) == {name}, "the tracker to be shown", within=60)
    assert running.get(single).json["metadata"]["annotations"]["name"] == "Cars"
    say_ready(namespace, ready=False)
    wait_for(lambda: shown(running, namespace) == set(), "it not to be shown", within=60)
    namespace.delete("s2t", "cars")
    wait_for(lambda: running.get(single).status == 404, "it to be gone", within=60)

    assert gateways.refusals() == []
    asked = requests(gateways.plane.audit_log, gateways.username)
    used = {(each["verb"], each["objectRef"]["resource"]) for each in asked if "objectRef" in each}
    assert used == {("list", "sam2trackers"), ("watch", "sam2trackers")}

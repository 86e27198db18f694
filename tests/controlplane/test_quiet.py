"""A hundred trackers to which nothing happens: no writes, few requests to CVAT, shared connections."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from sam2_operator.adapters.kube.api import MERGE
from sam2_operator.core.naming import FIELD_MANAGER
from sam2_operator.core.settlement import SETTLE
from sam2_operator.errors import ConflictError
from sam2_operator.settings import Settings
from sam2_operator.surplus import RECENT
from tests.controlplane.harness import tracker_manifest
from tests.cvat_standin.client import wait_for

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.api import KubeApi
    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace, Operator
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(900)]

TRACKERS = 100
ACCOUNTS = ("ann", "bob")
INTERVALS = 2
REQUESTS_OF_AN_ACCOUNT = 10
"""Within an interval; of its fifty trackers each would otherwise ask once."""
_ESTABLISHED = "01"


class Many:
    """Trackers of two accounts."""

    def __init__(
        self, trackers: int, namespace: Namespace, cvat: CVAT, api: KubeApi, operator: Operator
    ) -> None:
        self._namespace, self._operator = namespace.name, operator
        self._names = [f"t{number:03}" for number in range(trackers)]
        for account in ACCOUNTS:
            namespace.make_secret(account, token=cvat.add_user(account).token)
        self._api, self._path = api, f"/apis/sam2.dev/v1alpha1/namespaces/{self._namespace}/sam2trackers"
        for number, name in enumerate(self._names):
            secret = {"name": ACCOUNTS[number % len(ACCOUNTS)]}
            access = {"url": cvat.url, "credentialsSecretRef": secret}
            api.call("POST", self._path, body=tracker_manifest(self._namespace, cvat.url, name, cvat=access))

    def look(self) -> None:
        """Reconcile each once, as many at a time as the operator does."""
        with ThreadPoolExecutor(Settings().workers) as threads:
            list(threads.map(self._look_at, self._names))

    def remember(self) -> None:
        """Let each search CVAT for what came of an earlier request, as after an outage."""
        with ThreadPoolExecutor(Settings().workers) as threads:
            list(threads.map(self._remember, self._names))

    def _remember(self, name: str) -> None:
        record = self._api.call("GET", f"{self._path}/{name}")["status"]["function"]
        asked = {key: record[key] for key in ("visibility", "shapeTypes", "userID", "username")}
        request = {**asked, "name": f"earlier {name}", "aboveID": 0, "lookUntil": "2100-01-01T00:00:00Z"}
        patch = {"status": {"unansweredRequests": [request]}}
        self._api.call("PATCH", f"{self._path}/{name}/status", body=patch, content_type=MERGE)

    def forget(self) -> None:
        """Let all go at once; to patch each by kubectl would take the longest of all."""

        def free(name: str) -> None:
            patch = {"metadata": {"finalizers": None}}
            self._api.call("PATCH", f"{self._path}/{name}", body=patch, content_type=MERGE)
            self._api.call("DELETE", f"{self._path}/{name}")

        with ThreadPoolExecutor(Settings().workers) as threads:
            list(threads.map(free, self._names))

    def _look_at(self, name: str) -> None:
        while True:
            try:
                self._operator.reconciler.reconcile(self._namespace, name)
            except ConflictError:
                continue
            return


def writes(cluster: RunningControlPlane, namespace: str) -> list[str]:
    """What the operator wrote in a namespace, by the audit log."""
    events = [json.loads(line) for line in cluster.audit_log.read_text().splitlines() if namespace in line]
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in events
        if event.get("userAgent") == FIELD_MANAGER and event["verb"] not in {"get", "list", "watch"}
    ]


def connections(port: int) -> set[str]:
    """The local ports of this process's connections to a port."""
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {
        local
        for _, local, remote, state, *_ in fields
        if state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) == port
    }


def test_a_hundred_quiet_trackers_cost_little(
    cluster: RunningControlPlane,
    cvat: CVAT,
    namespace: Namespace,
    operator: Operator,
    *,
    api: KubeApi,
    acl_redis: RedisServer,
) -> None:
    port = int(urlsplit(cvat.url).port or 0)
    before = connections(port)
    many = Many(TRACKERS, namespace, cvat, api, operator)
    known = [0]

    def settled() -> bool:
        many.look()
        known.append(len(writes(cluster, namespace.name)))
        return known[-1] == known[-2]

    wait_for(settled, "everything to be as it should be", within=240)
    assert len(cvat.functions()) == TRACKERS
    operator.clock.advance((SETTLE + RECENT).total_seconds())
    many.look()  # each once more for what its registration may have made besides
    many.remember()
    known.append(len(writes(cluster, namespace.name)))
    with acl_redis.client() as client:
        redis_before = int(client.info("stats")["total_connections_received"])
    for _ in range(INTERVALS):
        operator.clock.advance(Settings().interval_seconds)
        asked = len(cvat.log())
        many.look()
        by_account = [entry.user for entry in cvat.log()[asked:]]
        assert 0 < by_account.count("ann") <= REQUESTS_OF_AN_ACCOUNT
        assert 0 < by_account.count("bob") <= REQUESTS_OF_AN_ACCOUNT
    assert writes(cluster, namespace.name)[known[-1] :] == []
    assert len(connections(port) - before) <= 2 * len(ACCOUNTS)
    with acl_redis.client() as client:
        assert (
            int(client.info("stats")["total_connections_received"]) - redis_before <= 1 + Settings().workers
        )
    assert len(cvat.log("POST /api/functions")) == TRACKERS
    many.forget()


def test_a_function_that_goes_from_among_many_is_missed_within_an_interval(
    cvat: CVAT, namespace: Namespace, api: KubeApi, operator: Operator
) -> None:
    many = Many(20, namespace, cvat, api, operator)
    many.look()
    many.look()
    lost = cvat.functions()[10].id
    cvat.forget_function(lost)
    operator.clock.advance(Settings().interval_seconds)
    many.look()
    ids = [function.id for function in cvat.functions()]
    assert len(ids) == 20
    assert lost not in ids
    many.forget()

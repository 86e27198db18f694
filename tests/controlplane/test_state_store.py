"""Redis as the operator meets it: asked politely, left tidy."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
import redis

from sam2_operator.adapters.kube import objects
from sam2_operator.api import GROUP
from sam2_operator.errors import KubernetesError
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controlplane.agents import SpeakingAgent
    from tests.controlplane.harness import Namespace, Operator
    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane


def connections_received(redis: RedisServer) -> int:
    with redis.client() as client:
        return int(client.info("stats")["total_connections_received"])


def users(redis: RedisServer) -> list[str]:
    with redis.client() as client:
        return [user for user in client.acl_users() if user.startswith("s2t-")]


@pytest.mark.parametrize("own", [False, True])
def test_reconciling_opens_no_connection_each_time(
    annotation: CVAT, namespace: Namespace, operator: Operator, *, acl_redis: RedisServer, own: bool
) -> None:
    state: dict[str, Any] = {"state": {"url": acl_redis.url}} if own else {}
    namespace.apply_tracker(annotation.url, **state)
    operator.settle(namespace.name)
    before = connections_received(acl_redis)
    operator.settle(namespace.name, times=5)
    assert connections_received(acl_redis) == before + 1  # the one that asks


def test_a_connection_that_broke_is_no_reason_to_complain(
    annotation: CVAT, namespace: Namespace, operator: Operator, acl_redis: RedisServer
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    acl_redis.kill()
    acl_redis.start()
    operator.reconcile(namespace.name)
    assert namespace.condition("StateStoreReachable")["status"] == "True"


def test_trackers_of_a_kind_that_is_not_served_are_not_taken_for_deleted(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    acl_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    with monkeypatch.context() as without_crd:  # to take it away would end the trackers of other tests
        without_crd.setattr(objects, "TRACKERS", f"/apis/{GROUP}/v9")
        with pytest.raises(KubernetesError, match="CustomResourceDefinition is missing"):
            operator.reconcile(namespace.name)
    assert len(users(acl_redis)) == 1


def test_a_tracker_that_moves_to_another_redis_leaves_no_user_behind(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    *,
    acl_redis: RedisServer,
    agent: Callable[[], SpeakingAgent],
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    assert len(users(acl_redis)) == 1
    wait_for(lambda: namespace.exists("pod", "cars-agent-0"), "the pod")
    # Only a kubelet ends a pod that has a finalizer of somebody's: until then its agent needs its user.
    namespace.patch("pod", "cars-agent-0", {"metadata": {"finalizers": ["example.com/still-serving"]}})
    namespace.apply_tracker(annotation.url, state={"url": f"redis://127.0.0.1:{acl_redis.port}/1"})
    operator.settle(namespace.name)
    assert len(users(acl_redis)) == 1
    assert namespace.exists("secret", "cars-state")
    namespace.patch("pod", "cars-agent-0", {"metadata": {"finalizers": None}})

    def tidy() -> bool:
        operator.reconcile(namespace.name)
        return users(acl_redis) == [] and not namespace.exists("secret", "cars-state")

    wait_for(tidy, "the user and its Secret to go")


def test_a_tracker_that_moved_and_ends_leaves_nothing_in_either_redis(
    annotation: CVAT, namespace: Namespace, operator: Operator, acl_redis: RedisServer
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    uid = namespace.get("s2t", "cars")["metadata"]["uid"]
    with acl_redis.client() as client:
        client.set(f"s2t:{{{uid}}}:answer", "mine")
    namespace.apply_tracker(annotation.url, state={"url": f"redis://127.0.0.1:{acl_redis.port}/1"})
    operator.reconcile(namespace.name)
    namespace.delete("s2t", "cars", "--wait=false")

    def gone() -> bool:
        operator.reconcile(namespace.name)
        return not namespace.exists("s2t", "cars")

    wait_for(gone, "the tracker's end")
    assert users(acl_redis) == []
    with acl_redis.client() as client:
        assert client.keys() == []


def test_each_tracker_reaches_only_its_own_keys(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    uid = namespace.get("s2t", "cars")["metadata"]["uid"]
    url = base64.b64decode(namespace.get("secret", "cars-state")["data"]["url"]).decode()
    with redis.Redis.from_url(url) as client:
        client.set(f"s2t:{{{uid}}}:answer", "mine", ex=60)
        read = client.register_script("return redis.call('get', KEYS[1])")
        assert read(keys=[f"s2t:{{{uid}}}:answer"]) == b"mine"
        for forbidden in (
            lambda: client.get("s2t:{other}:answer"),
            client.register_script("return redis.call('get', 's2t:{other}:answer')"),
            client.keys,
            client.scan,
            client.flushall,
            client.acl_list,
            client.client_list,
            lambda: client.publish("s2t:{other}:news", "x"),
        ):
            with pytest.raises(redis.exceptions.ResponseError):
                forbidden()

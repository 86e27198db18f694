"""The end of a tracker's state: all keys go, and a Redis that is away holds nobody for ever."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.adapters.statestore import Administrator, RedisStateStore
from sam2_operator.errors import KubernetesError, StateStoreError
from sam2_operator.sources import SourceReader, Sources
from tests.controlplane.endings import Ending
from tests.controlplane.surroundings import ADMIN_PASSWORD
from tests.cvat_standin.client import CVAT, wait_for
from tests.redis_server import RedisServer, redis_server

if TYPE_CHECKING:
    from tests.controlplane.harness import Namespace, Operator

__all__ = ["redis_server"]

pytestmark = [pytest.mark.controlplane, pytest.mark.sampled]

OURS, OTHERS = 50_000, 200_000


def own(redis: RedisServer) -> dict[str, Any]:
    return {"state": {"url": redis.url}}


@pytest.fixture
def ending(annotation: CVAT, namespace: Namespace, operator: Operator) -> Ending:
    return Ending(operator, namespace, annotation)


def made(ending: Ending, **spec: Any) -> str:
    """Make the tracker; give its uid."""
    ending.namespace.apply_tracker(ending.cvat.url, **spec)
    ending.operator.settle(ending.namespace.name)
    return str(ending.namespace.get("s2t", "cars")["metadata"]["uid"])


def test_the_operators_redis_is_waited_for_no_longer_than_the_deadline(
    ending: Ending, acl_redis: RedisServer
) -> None:
    made(ending)
    acl_redis.kill()
    ending.begins()
    assert ending.namespace.exists("s2t", "cars")
    assert "cannot be deleted: Redis at" in ending.lets_go("deleted: the operator's Redis away")


def test_a_fault_of_the_operator_holds_nobody_for_ever_and_tells_nothing(
    ending: Ending, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> bool:
        raise ValueError("redis://s2t:secret@redis:6379")

    made(ending)
    monkeypatch.setattr(RedisStateStore, "purge", fault)
    ending.begins()
    assert ending.namespace.exists("s2t", "cars")
    message = ending.lets_go("deleted: a fault of the operator")
    assert "(ValueError); see its log" in message
    assert "secret" not in message


def test_a_tracker_with_a_redis_of_its_own_does_not_wait_for_the_operators(
    ending: Ending, acl_redis: RedisServer, redis_server: RedisServer
) -> None:
    uid = made(ending, **own(redis_server))
    with redis_server.client() as client:
        client.set(f"s2t:{{{uid}}}:answer", "mine")
        acl_redis.kill()
        ending.begins()
        ending.comes("deleted: own Redis, the operator's away", within=10)
        assert client.keys() == []
    assert ending.told("LeftBehind") == []


def test_a_redis_of_ones_own_is_waited_for_no_longer_than_the_deadline(
    ending: Ending, redis_server: RedisServer
) -> None:
    made(ending, **own(redis_server))
    redis_server.kill()
    ending.begins()
    assert "cannot be deleted: Redis at" in ending.namespace.condition("Ready")["message"]
    assert "They expire by themselves." in ending.lets_go("deleted: own Redis away")


def by_secret(ending: Ending, redis: RedisServer) -> dict[str, Any]:
    ending.namespace.make_secret("own-redis", url=redis.url)
    return {"state": {"secretRef": {"name": "own-redis"}, "ttl": "3h"}}


def test_the_secret_of_a_redis_of_ones_own_may_go_first(ending: Ending, redis_server: RedisServer) -> None:
    uid = made(ending, **by_secret(ending, redis_server))
    with redis_server.client() as client:
        client.set(f"s2t:{{{uid}}}:answer", "mine")
        ending.namespace.delete("secret", "own-redis")
        ending.begins()
        ending.comes("deleted: Secret of own Redis gone before")
        assert client.keys() == []
    assert ending.told("LeftBehind") == []


def test_what_stays_where_no_secret_leads_any_more_is_told_and_not_waited_for(
    ending: Ending, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    uid = made(ending, **by_secret(ending, redis_server))
    with redis_server.client() as client:
        client.set(f"s2t:{{{uid}}}:answer", "mine")
        ending.namespace.delete("secret", "own-redis")
        ending.operator.restart()
        ending.begins()
        ending.comes("deleted: Secret of own Redis gone, operator restarted")
        assert client.keys() != []
    (event,) = ending.told("LeftBehind")
    assert f"The tracks s2t:{{{uid}}}:* cannot be deleted: There is no Secret own-redis" in event["message"]
    assert "They expire by themselves, 3h after their last use." in event["message"]
    assert event["message"] in " ".join(record.getMessage() for record in caplog.records)
    assert ending.left_behind() == 1


def test_certificates_that_are_gone_lead_to_no_redis_either(
    ending: Ending, redis_server: RedisServer
) -> None:
    bundle = {"configMapKeyRef": {"name": "certificates", "key": "ca.crt"}}
    uid = made(ending, state={"url": redis_server.url, "caBundle": bundle})
    ending.begins()
    ending.comes("deleted: certificates of own Redis gone")
    (event,) = ending.told("LeftBehind")
    assert f"The tracks s2t:{{{uid}}}:* cannot be deleted: spec.state.caBundle names" in event["message"]


def test_a_tracker_that_never_had_an_agent_left_nothing_in_its_redis(
    cvat: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker("http://127.0.0.1:9", state={"secretRef": {"name": "own-redis"}})
    operator.settle(namespace.name)
    ending = Ending(operator, namespace, cvat)
    ending.begins()
    ending.comes("deleted: never had access to its Redis", within=5)
    assert ending.told("LeftBehind") == []


def test_a_secret_that_cannot_be_read_just_now_is_read_again(
    ending: Ending, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = made(ending, function={"deletionPolicy": "Retain"}, **by_secret(ending, redis_server))
    (function,) = ending.cvat.functions()
    with redis_server.client() as client:
        client.set(f"s2t:{{{uid}}}:answer", "mine")
        ending.operator.restart()
        with monkeypatch.context() as patch:
            patch.setattr(SourceReader, "read", refuse)
            ending.begins()
            assert ending.namespace.exists("s2t", "cars")
        ending.comes("deleted: Secret of own Redis read late", left=[function.id])
        assert client.keys() == []
    assert ending.told("LeftBehind") == []


def refuse(*_: object) -> Sources:
    raise KubernetesError("The API server does not answer.")


def test_what_a_moved_tracker_left_is_waited_for_also_where_nothing_leads_to_its_own_redis(
    ending: Ending, acl_redis: RedisServer, redis_server: RedisServer
) -> None:
    uid = made(ending)
    acl_redis.kill()
    made(ending, **by_secret(ending, redis_server))
    ending.namespace.delete("secret", "own-redis")
    ending.operator.restart()
    ending.begins()
    assert not ending.over()
    acl_redis.start()
    ending.comes("deleted: moved to own Redis, whose Secret is gone")
    with acl_redis.client() as client:
        assert f"s2t-{uid}" not in client.acl_users()
    (event,) = ending.told("LeftBehind")
    assert "There is no Secret own-redis" in event["message"]


def test_what_a_moved_tracker_left_in_the_operators_redis_is_waited_for(
    ending: Ending, acl_redis: RedisServer, redis_server: RedisServer
) -> None:
    uid = made(ending)
    acl_redis.kill()
    made(ending, **own(redis_server))
    assert ending.namespace.exists("secret", "cars-state")  # its user is still there
    ending.begins()
    assert not ending.over()
    acl_redis.start()
    ending.comes("deleted: moved to own Redis while the operator's was away")
    with acl_redis.client() as client:
        assert f"s2t-{uid}" not in client.acl_users()


def test_huge_states_are_purged_in_steps_that_hold_up_nobody(ending: Ending, acl_redis: RedisServer) -> None:
    administrator = Administrator(
        f"redis://admin@127.0.0.1:{acl_redis.port}/0",
        password=lambda: ADMIN_PASSWORD,
        ca_pem=lambda: None,
        manages_users=True,
    )
    uid = made(ending)
    fill = "for i = 1, ARGV[2] do redis.call('set', ARGV[1] .. i, 'x') end"
    with acl_redis.client() as client:
        client.eval(fill, 0, f"s2t:{{{uid}}}:", OURS)
        client.eval(fill, 0, "s2t:{other}:", OTHERS)
        client.config_resetstat()
    store = RedisStateStore(administrator, purge_seconds=0.02)
    access = store.managed(uid)
    assert access is not None
    goes = 0

    def purged() -> bool:
        nonlocal goes
        goes += 1
        with suppress(StateStoreError):  # on a busy machine an answer may be late
            return store.purge(access, f"s2t:{{{uid}}}:")
        return False

    wait_for(purged, "the purge", within=60)
    store.close()
    assert goes > 3
    with acl_redis.client() as client:
        calls = {name: each["calls"] for name, each in client.info("commandstats").items()}
        assert client.dbsize() == OTHERS
    assert calls["cmdstat_scan"] > (OURS + OTHERS) / 1000  # each of them short,
    assert calls["cmdstat_unlink"] > OURS / 1000
    assert not {"cmdstat_keys", "cmdstat_del", "cmdstat_eval", "cmdstat_evalsha"} & set(calls)
    ending.begins()
    ending.comes("deleted: huge state")

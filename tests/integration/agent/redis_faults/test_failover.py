"""Another Redis takes over, which lacks the newest data or has old ones: no wrong mask, no second answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import COMPLETE, FRAME, at, undisturbed
from tests.integration.agent.redis_faults.disturbance import PATIENT, amid, require_clean
from tests.integration.agent.redis_faults.proxy import RedisProxy
from tests.redis_server import RedisServer

STOP = 6

Spoil: TypeAlias = Callable[[RedisServer], None]


@pytest.fixture
def replica(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    """A second server that replicates the first."""
    folder = tmp_path / "replica"
    folder.mkdir()
    server = RedisServer(folder)
    with redis_server.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    server.start("--replicaof", "127.0.0.1", str(redis_server.port))
    with server.client() as client:
        wait_for(lambda: client.info("replication")["master_link_status"] == "up" or None, "the replica")
    yield server
    server.kill()


def fail_over(proxy: RedisProxy, old: RedisServer, new: RedisServer) -> None:
    """Promote `new`; the old one becomes its replica, and connections to it stay open."""
    with new.client() as promoted, old.client() as demoted:
        promoted.replicaof("NO", "ONE")
        proxy.target = new.port
        demoted.replicaof("127.0.0.1", str(new.port))


def forget_lease(replica: RedisServer) -> None:
    with replica.client() as client:
        client.delete(f"{PREFIX}lease")


def forget_all(replica: RedisServer) -> None:
    with replica.client() as client:
        client.flushall()


def bring_old_lease_back(replica: RedisServer) -> None:
    with replica.client() as client:
        client.set(f"{PREFIX}lease", "0" * 32 + "pod-before", px=1000)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (forget_lease, "lease lost"),
        (forget_all, "all lost"),
        (bring_old_lease_back, "old lease back"),
    ],
)
@pytest.mark.parametrize("route", [FRAME, COMPLETE], ids=["before the frame", "before the completion"])
def test_a_replica_that_was_behind_is_promoted(
    world: World,
    replica: RedisServer,
    caplog: pytest.LogCaptureFixture,
    *,
    route: str,
    spoil: Spoil,
    what: str,
) -> None:
    """Replication stops two frames before the failover in the middle of a request."""
    with RedisProxy(world.redis.port).running() as proxy:
        expected = undisturbed(world, stop=STOP)
        agent = world.new_toy(redis_url=proxy.url, patience=PATIENT).start().wait_ready()

        def fall_behind() -> None:
            with replica.client() as client:
                client.replicaof("NO", "ONE")

        def promote() -> None:
            spoil(replica)
            fail_over(proxy, world.redis, replica)

        with amid(world, route, promote, skip=5 if route == FRAME else 4):  # a frame is fetched ahead
            got = world.track(at(2, fall_behind), stop=STOP)
        agent.wait_for(lambda: agent.metric("unavailable_total", reason="RedisRefused") > 0)
        assert "it is a replica" in caplog.text
        agent.wait_for(lambda: agent.status.report().ready)
        with replica.client() as client:
            assert client.exists(f"{PREFIX}lease"), "the agent is with the new primary"
        agent.stop()
    require_clean(world, f"Redis failover ({what})", expected, got)


def test_an_old_backup_is_restored(world: World, tmp_path: Path) -> None:
    """It has the lease of an agent that is gone, a request answered long ago, and lacks the last answers."""
    first = world.new_toy(patience=PATIENT).start().wait_ready()
    expected = world.track(stop=STOP)
    backup = tmp_path / "backup"

    def back_up() -> None:
        shutil.copytree(world.redis.folder / "appendonlydir", backup)

    def replace() -> None:
        first.stop()
        world.new_toy(patience=PATIENT, holder="pod-b").start()

    def restore() -> None:
        world.redis.kill()
        shutil.rmtree(world.redis.folder / "appendonlydir")
        shutil.copytree(backup, world.redis.folder / "appendonlydir")
        world.redis.start()
        with world.redis.client() as client:
            assert client.hlen(f"{PREFIX}requests") == 1, "the request that was in hand then"

    with amid(world, COMPLETE, back_up, skip=1):
        world.track(stop=2)

    def on_frame(frame: object) -> None:
        at(2, replace)(frame)  # type: ignore[arg-type]
        at(4, restore)(frame)  # type: ignore[arg-type]

    got = world.track(on_frame, stop=STOP)
    require_clean(world, "Redis restored from an old backup", expected, got)
    with world.redis.client() as client:
        wait_for(lambda: not client.hlen(f"{PREFIX}requests") or None, "the old request's end")

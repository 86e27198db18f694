"""Redis answers, but not what it is asked: each refusal is told for what it is, and ends with its cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest
import redis

from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_store import COMMANDS
from sam2_agent.core.ports import Publication
from sam2_agent.errors import StoreUnavailable
from sam2_operator.adapters.statestore import Administrator, RedisStateStore
from tests.cvat_standin.certificates import write_certificates
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import at
from tests.integration.agent.redis_faults.disturbance import PATIENT, require_clean
from tests.integration.agent.test_store import ONE, opened, token_of
from tests.ports import free_port
from tests.redis_server import RedisServer

STOP = 4
LOGIN = f"on ~{PREFIX}* -@all {' '.join(f'+{command}' for command in COMMANDS)}".split()


@contextmanager
def loading(server: RedisServer) -> Iterator[None]:
    """Redis starts, and loads for as long as the block takes."""
    with server.client() as client:
        client.mset({f"filling:{number}": "x" * 1000 for number in range(500)})
        client.bgrewriteaof()  # only while it reads a snapshot does it answer that it is loading
        wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"] or None, "the snapshot")
    server.kill()
    server.launch("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    try:
        yield
    finally:
        server.kill()
        server.start()


@contextmanager
def busy(server: RedisServer) -> Iterator[None]:
    """Somebody's script does not end."""
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        client.config_set("busy-reply-threshold", 10)
        running = pool.submit(client.eval, "while true do end", 0)
        try:
            yield
        finally:
            with server.client() as other:
                other.script_kill()
            assert isinstance(running.exception(10), redis.ResponseError)


@contextmanager
def unable_to_save(server: RedisServer) -> Iterator[None]:
    """Where the snapshot should go is a folder."""
    obstacle = server.folder / "dump.rdb"
    obstacle.mkdir()
    with server.client() as client:
        client.config_set("save", "3600 1000000")
        client.bgsave()
        wait_for(
            lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err" or None, "a failed save"
        )
        try:
            yield
        finally:
            client.config_set("save", "")
            obstacle.rmdir()


@contextmanager
def read_only(server: RedisServer) -> Iterator[None]:
    """It is made a replica of nobody who answers."""
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@contextmanager
def other_password(server: RedisServer) -> Iterator[None]:
    """The agent's user has a new password, and its connections are gone."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "tracker", "resetpass", ">another")
        client.execute_command("CLIENT", "KILL", "USER", "tracker")
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "tracker", "resetpass", ">secret")


@pytest.mark.parametrize(
    ("trouble", "reason", "words"),
    [
        (loading, "RedisUnreachable", "is loading its data from disk"),
        (busy, "RedisRefused", "is busy with somebody's script"),
        (unable_to_save, "RedisRefused", "cannot save to its disk"),
        (read_only, "RedisRefused", "it is a replica"),
        (other_password, "RedisRefused", "user or password"),
    ],
)
def test_what_redis_refuses_for_a_while(
    world: World,
    caplog: pytest.LogCaptureFixture,
    trouble: Callable[[RedisServer], AbstractContextManager[None]],
    reason: str,
    words: str,
) -> None:
    url = world.redis.url
    if trouble is other_password:
        with world.redis.client() as client:
            client.execute_command("ACL", "SETUSER", "tracker", *LOGIN, ">secret")
        url = url.replace("redis://", "redis://tracker:secret@")
    agent = world.new_toy(redis_url=url, patience=PATIENT).start().wait_ready()
    expected = world.track(stop=STOP)
    entered = trouble(world.redis)

    def meet() -> None:
        entered.__enter__()
        before = agent.metric("unavailable_total", reason=reason)
        world.meanwhile(lambda: part(before))

    def part(before: float) -> None:
        try:
            agent.wait_for(lambda: agent.metric("unavailable_total", reason=reason) > before + 1)
            agent.wait_for(lambda: words in agent.status.report().message)
            assert agent.status.report().reason == reason
        finally:
            entered.__exit__(None, None, None)

    got = world.track(at(2, meet), stop=STOP)
    assert words in caplog.text
    assert "secret" not in caplog.text
    agent.wait_for(lambda: agent.status.report().ready)
    require_clean(world, f"Redis refuses ({trouble.__name__.replace('_', ' ')})", expected, got)


def test_scripts_that_redis_forgot_are_loaded_again(world: World) -> None:
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    expected = world.track(stop=STOP)
    with world.redis.client() as client:
        got = world.track(lambda _: client.script_flush(), stop=STOP)
    assert agent.metric("unavailable_total", reason="RedisRefused") == 0
    require_clean(world, "Redis forgot the scripts", expected, got)


async def test_tls(redis_server: RedisServer) -> None:
    """Redis's certificate is checked against an authority of one's own, and against no other."""
    ca_file, files = write_certificates(redis_server.folder)
    port = free_port()
    certificate = ["--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)]
    redis_server.kill()
    redis_server.start("--tls-port", str(port), *certificate, "--tls-auth-clients", "no")
    url = f"rediss://127.0.0.1:{port}/0"
    async with opened(redis_server, client=connect(url, ca_file)) as store:
        token = await token_of(store)
        assert await store.publish(token, [Publication(ONE, b"answer")]) == [b"answer"]
    async with opened(redis_server, client=connect(url, None)) as stranger:
        with pytest.raises(StoreUnavailable, match="CA are right"):
            await token_of(stranger)


def test_an_agent_with_the_user_that_the_operator_makes_is_refused_nothing(world: World) -> None:
    with world.redis.client() as client:
        client.execute_command("ACL", "SETUSER", "admin", "on", ">secret", "~*", "&*", "+@all")
    url = world.redis.url.replace("redis://", "redis://admin@")
    operator = RedisStateStore(Administrator(url, lambda: "secret", lambda: None, manages_users=True))
    uid = PREFIX.removeprefix("s2t:{").removesuffix("}:")
    operator.ensure_user(uid)
    access = operator.managed(uid)
    assert access is not None
    agent = world.new_toy(redis_url=access.url, patience=PATIENT).start().wait_ready()
    assert len(world.track(stop=STOP)) == STOP
    agent.stop()
    operator.ping(access)
    with world.redis.client() as client:
        assert client.execute_command("ACL", "LOG") == []

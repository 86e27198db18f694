"""The chart's Redis: the rendered configuration and scripts, run by a real redis-server."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, ResponseError

from sam2_operator.adapters.statestore import Administrator, RedisStateStore
from sam2_operator.core.naming import key_prefix, state_user
from sam2_operator.core.observed import StateAccess
from tests.chart.helm import Rendered
from tests.chart.redis_server import RedisPod, pod_of

PASSWORD = "the administrator's password"
UID = "6f1c0000-0000-4000-8000-000000000000"
TRACKER = state_user(UID)
PREFIX = key_prefix(UID)


@pytest.fixture
def pod(defaults: Rendered, tmp_path: Path) -> Iterator[RedisPod]:
    """The chart's Redis, initialized but not started."""
    pod = pod_of(defaults.one("ConfigMap", "sam2-tracker-redis"), tmp_path)
    assert pod.initialize(PASSWORD).returncode == 0
    yield pod
    pod.stop()


@pytest.fixture
def server(pod: RedisPod) -> RedisPod:
    pod.start()
    return pod


def test_without_credentials_nothing_is_possible(server: RedisPod) -> None:
    with server.client() as stranger, pytest.raises(AuthenticationError):
        stranger.ping()


def test_no_password_opens_the_default_user(server: RedisPod) -> None:
    for password in ("", PASSWORD):
        with server.client("default", password) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_the_user_of_the_probes_can_do_nothing_else(server: RedisPod) -> None:
    with server.client("health", "none") as health:
        assert health.ping()
        for command in ("GET x", "INFO", "ACL LIST", "CONFIG GET *", "SUBSCRIBE x"):
            with pytest.raises(NoPermissionError):
                _call(health, *command.split())


def test_a_tracker_s_user_survives_a_restart_and_sees_only_its_own_keys(server: RedisPod) -> None:
    access = _add_tracker(server)
    with server.client("admin", PASSWORD) as admin:
        admin.set("s2t:{other}:answer", "theirs")
    with _agent(access) as tracker:
        tracker.set(f"{PREFIX}answer", "ours")
    server.stop()
    assert server.initialize(PASSWORD).returncode == 0
    server.start()

    with _agent(access) as tracker:
        assert tracker.get(f"{PREFIX}answer") == "ours"
        with pytest.raises(NoPermissionError):
            tracker.get("s2t:{other}:answer")
        with pytest.raises(ResponseError, match="can't access"):
            tracker.register_script("return redis.call('get', 's2t:{other}:answer')")()
        with pytest.raises(NoPermissionError):
            _call(tracker, "ACL", "LIST")


def test_what_was_answered_survives_a_kill(server: RedisPod) -> None:
    with server.client("admin", PASSWORD) as admin:
        admin.set(f"{PREFIX}answer", "ours")
    server.stop(kill=True)
    server.start()

    with server.client("admin", PASSWORD) as admin:
        assert admin.get(f"{PREFIX}answer") == "ours"


def test_a_new_password_replaces_the_old_and_keeps_the_trackers(server: RedisPod) -> None:
    access = _add_tracker(server)
    server.stop()
    assert server.initialize("another").returncode == 0
    server.start()

    with server.client("admin", PASSWORD) as admin, pytest.raises(AuthenticationError):
        admin.ping()
    with server.client("admin", "another") as admin:
        assert {each.split()[1] for each in admin.acl_list()} == {"default", "admin", "health", TRACKER}
    with _agent(access) as tracker:
        tracker.set(f"{PREFIX}answer", "ours")


def test_a_newline_at_the_end_of_the_secret_is_no_part_of_the_password(pod: RedisPod) -> None:
    assert pod.initialize("another\n").returncode == 0
    pod.start()

    with pod.client("admin", "another") as admin:
        assert admin.ping()


def test_an_empty_password_is_refused(pod: RedisPod) -> None:
    before = pod.acl_file.read_text()

    done = pod.initialize("")

    assert done.returncode != 0
    assert "the Redis administrator's password is empty" in done.stderr
    assert pod.acl_file.read_text() == before


def test_the_password_is_nowhere_to_be_seen(server: RedisPod) -> None:
    assert PASSWORD not in server.arguments()
    assert PASSWORD not in server.acl_file.read_text()
    assert PASSWORD not in server.log.read_text()
    assert server.acl_file.stat().st_mode & 0o077 == 0


def test_a_full_redis_refuses_to_write_and_forgets_nothing(server: RedisPod) -> None:
    with server.client("admin", PASSWORD) as admin:
        admin.set(f"{PREFIX}answer", "ours")
        admin.config_set("maxmemory", 1)
        with pytest.raises(OutOfMemoryError):
            admin.set(f"{PREFIX}memory", "x")
        assert admin.get(f"{PREFIX}answer") == "ours"


def test_probes_tell_a_running_redis_from_none(server: RedisPod) -> None:
    assert server.probe("live")
    assert server.probe("ready")
    server.stop()
    assert not server.probe("live")
    assert not server.probe("ready")


def test_a_redis_that_loads_is_alive_but_not_ready(server: RedisPod) -> None:
    with server.client("admin", PASSWORD) as admin:
        admin.mset({f"{PREFIX}{number}": "x" * 1000 for number in range(3000)})
        admin.bgrewriteaof()
        _wait_until(lambda: not admin.info("persistence")["aof_rewrite_in_progress"])
    server.stop()
    # A millisecond for each key (the setting is in microseconds), looking after clients every KB.
    with (server.folder / "redis.conf").open("a") as configuration:
        configuration.write("key-load-delay 1000\nloading-process-events-interval-bytes 1024\n")

    server.launch()
    server.wait_for("live")

    assert not server.probe("ready")
    server.wait_for("ready")


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def _add_tracker(server: RedisPod) -> StateAccess:
    """Let the operator make a tracker's user; give what the tracker's agent gets."""
    url = f"redis://admin@127.0.0.1:{server.port}/0"
    store = RedisStateStore(Administrator(url, lambda: PASSWORD, lambda: None, manages_users=True))
    store.ensure_user(UID)
    access = store.managed(UID)
    assert access is not None
    return access


def _agent(access: StateAccess) -> redis.Redis:
    return redis.Redis.from_url(access.url, decode_responses=True)


def _call(client: redis.Redis, *command: str) -> object:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]

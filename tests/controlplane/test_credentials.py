"""Who gets which secret: none of another namespace, and in Redis each tracker its own keys only."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import redis

from sam2_operator.api.schema import structural_schema
from sam2_operator.api.spec import TrackerSpec
from tests.controlplane import situations
from tests.controlplane.situations import Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.harness import Namespace, Operator
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane


def secrets_of(pod: Any) -> dict[str, list[str]]:
    """The Secrets that a pod template mentions anywhere, with the keys where it picks some."""
    found: dict[str, list[str]] = {}
    for volume in pod["volumes"]:
        if source := volume.get("secret"):
            found[source["secretName"]] = [item["key"] for item in source.get("items", [])]
    for container in pod["containers"]:
        assert "envFrom" not in container
        for variable in container["env"]:
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                found[reference["name"]] = [reference["key"]]
    return found


def test_an_agent_mounts_its_own_account_and_its_own_redis_user_and_nothing_else(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    for name in ("cars", "bikes"):
        namespace.apply_tracker(annotation.url, name)
        operator.settle(namespace.name, name)
    for name in ("cars", "bikes"):
        pod = namespace.get("statefulset", f"{name}-agent")["spec"]["template"]["spec"]
        assert secrets_of(pod) == {"cvat": [], f"{name}-state": ["url"]}
        assert pod["automountServiceAccountToken"] is False
        account = namespace.get("serviceaccount", f"{name}-agent")
        assert account["automountServiceAccountToken"] is False
        assert set(namespace.get("secret", f"{name}-state")["data"]) == {"url"}
    bound = namespace.kubectl("get", "rolebindings,clusterrolebindings", "-A", "-o", "json")
    assert "cars-agent" not in bound, "the agent's account has no rights"


def test_another_namespaces_secret_cannot_be_used(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    other = f"{namespace.name}-other"
    namespace.kubectl("create", "namespace", other)
    try:
        namespace.kubectl(
            "create", "secret", "generic", "theirs", "--from-literal=token=token-of-ann",
            "--from-literal=url=redis://127.0.0.1:1", "--namespace", other,
        )  # fmt: skip
        namespace.apply_tracker(
            annotation.url,
            cvat={"credentialsSecretRef": {"name": "theirs"}},
            state={"secretRef": {"name": "theirs"}},
        )
        operator.settle(namespace.name)
        assert namespace.condition("FunctionRegistered")["reason"] == "CredentialsMissing"
        assert namespace.condition("StateStoreReachable")["reason"] == "StateSecretMissing"
        assert annotation.functions() == []
    finally:
        namespace.kubectl("delete", "namespace", other, "--wait=false")
    assert situations.add("another namespace's secret", Outcomes(converged=1)).good


@pytest.mark.parametrize("name", ["../other/cvat", "other/cvat", "cvat?x", "CVAT"])
def test_a_name_cannot_lead_into_another_namespace(namespace: Namespace, name: str) -> None:
    with pytest.raises(Exception, match=r"credentialsSecretRef\.name"):
        namespace.apply_tracker("http://cvat.example", cvat={"credentialsSecretRef": {"name": name}})


def test_no_field_of_a_tracker_names_a_namespace() -> None:
    def names(schema: dict[str, Any]) -> Iterator[str]:
        for name, child in schema.get("properties", {}).items():
            yield name
            yield from names(child)
        for part in ("items", "additionalProperties"):
            if isinstance(schema.get(part), dict):
                yield from names(schema[part])

    # Of affinity, which compares namespaces and reads nothing.
    allowed = {"namespaces", "namespaceSelector"}
    found = {name for name in names(structural_schema(TrackerSpec)) if "namespace" in name.lower()}
    assert found <= allowed


def command(*words: str) -> Callable[[redis.Redis], object]:
    """Give what sends these words."""
    return lambda client: client.execute_command(*words)  # type: ignore[no-untyped-call]


THEIRS = "s2t:{another}:answer:1"
FORBIDDEN: dict[str, Callable[[redis.Redis], object]] = {
    "another's key": lambda client: client.get(THEIRS),
    "another's hash": lambda client: client.hgetall(THEIRS),
    "writing another's key": lambda client: client.set(THEIRS, "x"),
    "deleting another's key": lambda client: client.delete(THEIRS),
    "a key of nobody": lambda client: client.get("s2t"),
    "a script that reads another's key": lambda client: client.evalsha(
        str(client.script_load("return redis.call('get', ARGV[1])")), 0, THEIRS
    ),
    "KEYS": lambda client: client.keys("*"),
    "SCAN": lambda client: client.scan(),
    "RANDOMKEY": lambda client: client.randomkey(),
    "EVAL": lambda client: client.eval("return 1", 0),
    "CONFIG": lambda client: client.config_get("*"),
    "ACL LIST": lambda client: client.acl_list(),
    "ACL SETUSER": command("ACL", "SETUSER", "default", "on"),
    "FLUSHALL": lambda client: client.flushall(),
    "CLIENT LIST": lambda client: client.client_list(),
    "MONITOR": command("MONITOR"),
    "SHUTDOWN": command("SHUTDOWN"),
    "REPLICAOF": command("REPLICAOF", "203.0.113.1", "6379"),
    "another's channel": lambda client: client.publish("s2t:{another}:events", "x"),
}


@pytest.fixture
def client(
    annotation: CVAT, namespace: Namespace, operator: Operator, acl_redis: RedisServer
) -> Iterator[redis.Redis]:
    """A client with what the agent's Secret says."""
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    with acl_redis.client() as administrator:
        administrator.set(THEIRS, "theirs")
    url = base64.b64decode(namespace.get("secret", "cars-state")["data"]["url"]).decode()
    with redis.Redis.from_url(url) as connected:
        yield connected


def test_a_trackers_redis_user_sees_its_own_keys_only(
    client: redis.Redis, namespace: Namespace, acl_redis: RedisServer
) -> None:
    own = f"s2t:{{{namespace.get('s2t', 'cars')['metadata']['uid']}}}:answer:1"
    assert client.set(own, "mine")
    assert client.get(own) == b"mine"
    got_through = []
    for what, attempt in FORBIDDEN.items():
        try:
            attempt(client)
        except redis.exceptions.NoPermissionError:
            continue
        except redis.ResponseError as error:
            # Within a script a refusal has these words.
            if "The user executing the script can't" not in str(error):
                got_through.append(f"{what}: {error}")
        else:
            got_through.append(what)
    assert got_through == []
    with acl_redis.client() as administrator:
        assert administrator.get(THEIRS) in {b"theirs", "theirs"}

"""Whatever is deleted or edited is repaired by looking again, without any event: found by what was applied.

That the operator does look again, soon enough, is tests/unit/operator/test_pace.py's. Some of the fields,
others every day; all of them with `SAM2_TEST_FULL=1`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.adapters.kube.api import KubeApi
from sam2_operator.errors import InvalidObjectError
from tests.controlplane import situations
from tests.controlplane.scratch import Scratch
from tests.controlplane.snapshot import KINDS, differences
from tests.cvat_standin.client import CVAT, wait_for
from tests.samples import FULL, todays_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.harness import Operator
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(3600)]

SEED = todays_seed()
SOME = 16
SPEC: dict[str, Any] = {
    "model": {"cache": {"volumeClaimTemplate": {"size": "1Gi"}}},
    "agent": {
        "nodeSelector": {"zone": "one"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "env": [{"name": "NO_PROXY", "value": "redis"}],
        "podLabels": {"team": "vision"},
    },
}
SERVERLESS: dict[str, Any] = {
    **SPEC,
    "cvat": {"interface": "Serverless", "url": None, "credentialsSecretRef": None},
}
EVERY_KIND = pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        pytest.param(SPEC, set(KINDS) - {"Service"}, id="Agent"),
        pytest.param(SERVERLESS, set(KINDS), id="Serverless"),
    ],
)
JSON_PATCH = "application/json-patch+json"


@dataclass
class Applied:
    """The port `Kubernetes`, with all that was applied through it, by kind and name."""

    target: Any
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)

    def apply(self, wanted: dict[str, Any]) -> dict[str, Any]:
        self.manifests[f"{wanted['kind']}/{wanted['metadata']['name']}"] = wanted
        result: dict[str, Any] = self.target.apply(wanted)
        return result

    def kinds(self) -> set[str]:
        return {name.partition("/")[0] for name in self.manifests}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


@pytest.fixture
def applied(operator: Operator) -> Applied:
    """All that the operator applies from here on."""
    recording = Applied(operator.world.kube)
    operator.world = replace(operator.world, kube=recording)
    operator.restart()
    return recording


@pytest.fixture
def scratch(api: KubeApi, cvat: CVAT, operator: Operator, acl_redis: RedisServer) -> Iterator[Scratch]:
    cvat.add_user("ann")
    with Scratch(api, cvat, operator, acl_redis.port) as made:
        yield made


def path_of(manifest: dict[str, Any]) -> str:
    metadata = manifest["metadata"]
    return f"{KINDS[manifest['kind']].format(metadata['namespace'])}/{metadata['name']}"


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Give every field that holds a plain value, as a JSON pointer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{pointer}/{index}")
    else:
        yield pointer, value


def edits(pointer: str, value: Any) -> Iterator[dict[str, Any]]:
    """Give ways of spoiling a field; the API server may refuse some."""
    if isinstance(value, bool):
        others: tuple[Any, ...] = (not value,)
    elif isinstance(value, int):
        others = (value + 1, value - 1)
    else:
        others = (f"{value}x", "x", "eA==", "OnDelete", "Always", "Egress", "UDP", "2Gi")
    yield from ({"op": "replace", "path": pointer, "value": other} for other in others if other != value)
    yield {"op": "remove", "path": pointer}


def spoil(api: KubeApi, path: str, pointer: str, value: Any) -> bool:
    """Edit a field in the first way that the API server takes; say whether it took any."""
    before = api.get(path)
    for edit in edits(pointer, value):
        try:
            after = api.call("PATCH", path, body=[edit], content_type=JSON_PATCH)  # type: ignore[arg-type]
        except InvalidObjectError:
            continue
        assert before is not None
        if after["metadata"].get("generation", after["metadata"]["resourceVersion"]) != before[
            "metadata"
        ].get("generation", before["metadata"]["resourceVersion"]) or after.get("metadata", {}).get(
            "labels"
        ) != before["metadata"].get("labels"):
            return True
    return False


@EVERY_KIND
def test_every_field_that_is_set_is_set_again(
    api: KubeApi, scratch: Scratch, applied: Applied, spec: dict[str, Any], kinds: set[str]
) -> None:
    scratch.apply(spec)
    before = scratch.settled()
    fields = [
        (name, pointer, value)
        for name, manifest in applied.manifests.items()
        for pointer, value in leaves(manifest)
        if pointer.split("/")[1] not in {"apiVersion", "kind"}
        and pointer not in {"/metadata/name", "/metadata/namespace"}
        # An object of another owner is not touched but told of: NameTaken.
        and not pointer.startswith("/metadata/ownerReferences")
    ]
    assert len(fields) > 120
    assert applied.kinds() == kinds
    chosen = fields if FULL else random.Random(SEED).sample(fields, SOME)
    spoiled = 0
    for name, pointer, value in chosen:
        if not spoil(api, path_of(applied.manifests[name]), pointer, value):
            continue  # the API server lets nobody change it
        spoiled += 1
        left = scratch.converged(lambda found: differences(before, found))
        situations.add("edited field", situations.Outcomes(converged=int(not left), hangs=int(bool(left))))
        assert not left, f"seed {SEED}: {name}{pointer}: {left}"
    assert spoiled > len(chosen) / 2


@pytest.mark.parametrize(
    "pointer",
    [
        "/spec/template/spec/containers/0/name",
        "/spec/template/spec/containers/0/env/0/name",
        "/spec/template/spec/containers/0/ports/0/containerPort",
        "/spec/template/spec/containers/0/volumeMounts/0/mountPath",
    ],
)
def test_an_item_that_was_renamed_is_replaced(
    api: KubeApi, scratch: Scratch, applied: Applied, pointer: str
) -> None:
    scratch.apply(SPEC)
    before = scratch.settled()
    wanted = applied.manifests["StatefulSet/cars-agent"]
    assert spoil(api, path_of(wanted), pointer, dict(leaves(wanted))[pointer])
    assert scratch.converged(lambda found: differences(before, found)) == []


@EVERY_KIND
def test_every_object_comes_back(
    api: KubeApi, scratch: Scratch, applied: Applied, spec: dict[str, Any], kinds: set[str]
) -> None:
    scratch.apply(spec)
    before = scratch.settled()
    assert applied.kinds() == kinds
    for name, manifest in applied.manifests.items():
        path = path_of(manifest)
        first = api.get(path)
        assert first is not None
        api.call("DELETE", path)

        def back(path: str = path, first: dict[str, Any] = first) -> bool:
            unlike = scratch.converged(lambda found: differences(before, found))
            live = api.get(path)
            return not unlike and live is not None and live["metadata"]["uid"] != first["metadata"]["uid"]

        wait_for(back, f"the {name} to come back", within=30)
        situations.add("deleted object", situations.Outcomes(converged=1))


def test_what_is_set_outside_comes_back(scratch: Scratch, cvat: CVAT, acl_redis: RedisServer) -> None:
    scratch.apply(SPEC)
    before = scratch.settled()
    status = scratch.status()
    cvat.forget_function(status["functionID"])
    with acl_redis.client() as client:
        client.execute_command("ACL", "DELUSER", f"s2t-{scratch.uid()}")
    assert scratch.converged(lambda found: differences(before, found)) == []
    assert scratch.status()["functionID"] != status["functionID"]


def test_rights_that_somebody_gave_a_user_of_redis_are_taken_back(
    scratch: Scratch, acl_redis: RedisServer
) -> None:
    scratch.apply(SPEC)
    scratch.settled()
    user = f"s2t-{scratch.uid()}"
    with acl_redis.client() as client:
        before = client.execute_command("ACL", "GETUSER", user)
        client.execute_command("ACL", "SETUSER", user, "+@all", "~*")
        assert client.execute_command("ACL", "GETUSER", user) != before
        scratch.converged(lambda _: [])
        assert client.execute_command("ACL", "GETUSER", user) == before


def test_what_cannot_be_repaired_is_told(api: KubeApi, scratch: Scratch) -> None:
    scratch.apply(SPEC | {"cvat": {"caBundle": {"configMapKeyRef": {"name": "two", "key": "one"}}}})
    scratch.settled()
    served = scratch.status()["functionID"]
    namespace = f"/api/v1/namespaces/{scratch.namespace}"
    for path, reason in (
        (f"{namespace}/configmaps/two", "CABundleMissing"),
        (f"{namespace}/secrets/one", "CredentialsMissing"),
    ):
        lost = api.get(path)
        assert lost is not None
        api.call("DELETE", path)
        found = scratch.settled()
        assert found["conditions"]["FunctionRegistered"] == reason
        kept = {key: lost["metadata"][key] for key in ("name", "namespace")}
        again = {key: lost[key] for key in ("apiVersion", "kind", "data")}
        api.call("POST", path.rpartition("/")[0], body={**again, "metadata": kept})
        assert scratch.settled()["conditions"]["FunctionRegistered"] == "Registered"
    assert scratch.status()["functionID"] == served

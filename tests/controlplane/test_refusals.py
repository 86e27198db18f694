"""Nonsense is refused by the API server, with a sentence; what is usual is five lines."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from tests.controlplane.harness import Namespace, tracker_manifest

pytestmark = pytest.mark.controlplane

URL = "https://app.cvat.ai"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
TEMPLATE = {"size": "10Gi", "storageClassName": "fast", "accessMode": "ReadWriteOnce"}


def refusal(namespace: Namespace, manifest: dict[str, Any]) -> str:
    """Give what kubectl shows when the object is refused; nothing when it is taken."""
    answer = namespace.kubectl.run("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    return answer.stderr if answer.returncode else ""


def without(manifest: dict[str, Any], *path: str) -> dict[str, Any]:
    changed = deepcopy(manifest)
    target = changed["spec"]
    for part in path[:-1]:
        target = target[part]
    del target[path[-1]]
    return changed


def needed(requirement: dict[str, Any], matching: str = "matchExpressions") -> dict[str, Any]:
    """Give a spec that needs nodes of one requirement."""
    nodes = {"nodeSelectorTerms": [{matching: [requirement]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": nodes}}
    return {"agent": {"affinity": affinity}}


def test_five_lines_are_enough(namespace: Namespace) -> None:
    manifest = tracker_manifest(namespace.name, URL)
    manifest["spec"] = {
        "cvat": {"url": URL, "credentialsSecretRef": {"name": "cvat"}},
        "model": {"id": "facebook/sam2.1-hiera-large"},
    }
    assert refusal(namespace, manifest) == ""


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"cvat": {"url": "app.cvat.ai"}}, "must be a URL that begins with http:// or https://"),
        ({"cvat": {"url": "ftp://app.cvat.ai"}}, "must be a URL that begins with http:// or https://"),
        ({"cvat": {"url": "https://"}}, "and names a host"),
        ({"cvat": {"url": "https://ann:secret@app.cvat.ai"}}, "must not contain a user name or password"),
        ({"cvat": {"url": "https://app.cvat.ai/?org=lab"}}, "must have neither a query"),
        ({"cvat": {"url": "https://app.cvat.ai:99999"}}, "a port of 1 to 65535"),
        ({"cvat": {"url": "https://app.cvat.ai:0"}}, "a port of 1 to 65535"),
        ({"cvat": {"url": "https://app.cvat.ai/a b"}}, "a path without spaces"),
        ({"cvat": {"url": "https://$(HOME)"}}, "must have a host name or address"),
        ({"cvat": {"caBundle": {"configMapKeyRef": {"name": "a", "key": ".."}}}}, "configMapKeyRef.key"),
        ({"cvat": {"organization": "our lab"}}, "spec.cvat.organization"),
        ({"cvat": {"caBundle": {}}}, "give exactly one of configMapKeyRef and secretKeyRef"),
        ({"cvat": {"password": "secret"}}, "field not declared in schema"),
        ({"function": {"name": ""}}, "spec.function.name"),
        ({"function": {"name": "x" * 129}}, "spec.function.name"),
        ({"function": {"name": "SAM2 "}}, "must neither begin nor end with a space"),
        ({"function": {"name": "SAM2\nfast"}}, "must not contain control characters"),
        ({"function": {"visibility": "secret"}}, 'supported values: "private", "public"'),
        ({"function": {"shapeTypes": []}}, "should have at least 1 items"),
        ({"function": {"shapeTypes": ["mask", "mask"]}}, "name each shape once"),
        ({"function": {"shapeTypes": ["ellipse"]}}, 'supported values: "mask", "polygon", "rectangle"'),
        ({"function": {"id": 0}}, "spec.function.id"),
        ({"function": {"deletionPolicy": "Forget"}}, 'supported values: "Delete", "Retain"'),
        ({"model": {"id": "sam2"}}, "must be <owner>/<model>"),
        ({"model": {"id": "facebook/sam2--large"}}, "is no name that the hub gives"),
        ({"model": {"id": "facebook/sam2.git"}}, "is no name that the hub gives"),
        ({"model": {"id": "a/b", "volume": {"claimName": "weights"}}}, "give either id"),
        ({"model": {"config": "sam2.yaml"}}, "give either id"),
        ({"model": {"device": "tpu"}}, "must be cuda, cuda:N or cpu"),
        ({"model": {"precision": "int8"}}, "spec.model.precision"),
        ({"model": {"cache": {}}}, "give exactly one of ephemeral"),
        ({"model": {"cache": {"ephemeral": {"sizeLimit": "much"}}}}, "sizeLimit"),
        ({"model": {"cache": {"ephemeral": {"sizeLimit": "0"}}}}, "size must be a quantity above zero"),
        (
            {"model": {"cache": {"volumeClaimTemplate": {"size": "1e400"}}}},
            "spec.model.cache.volumeClaimTemplate.size",
        ),
        ({"model": {"cache": {"volumeClaimTemplate": {"size": "100m"}}}}, "of whole bytes"),
        ({"model": {"cache": {"volumeClaimTemplate": {"size": "0"}}}}, "size must be a quantity above zero"),
        ({"state": {"url": "http://redis"}}, "must be a URL that begins with redis:// or rediss://"),
        ({"state": {"url": "REDIS://redis"}}, "must have a host name or address"),
        ({"state": {"url": "redis://redis:65536"}}, "a port of 1 to 65535"),
        ({"state": {"url": "redis://redis/lab"}}, "must have a host name or address"),
        ({"state": {"url": "redis://:secret@redis"}}, "put the whole URL into a Secret"),
        (
            {"state": {"url": "redis://redis", "secretRef": {"name": "redis"}}},
            "give url or secretRef, not both",
        ),
        (
            {"state": {"caBundle": {"configMapKeyRef": {"name": "a", "key": "b"}}}},
            "it needs url or secretRef",
        ),
        ({"state": {"ttl": "soon"}}, "spec.state.ttl"),
        ({"state": {"ttl": "99999999999999h"}}, "spec.state.ttl"),
        ({"state": {"ttl": "-1h"}}, "spec.state.ttl"),
        ({"state": {"ttl": "0s"}}, "must be between 5m and 720h"),
        ({"state": {"ttl": "4m"}}, "must be between 5m and 720h"),
        ({"state": {"ttl": "1000h"}}, "must be between 5m and 720h"),
        ({"state": {"memoryTTL": "30s"}}, "must be between 1m and 24h"),
        ({"state": {"ttl": "5m", "memoryTTL": "10m"}}, "memoryTTL must not be longer than ttl"),
        ({"agent": {"image": "an image"}}, "spec.agent.image"),
        ({"agent": {"image": "lab/agent:"}}, "spec.agent.image"),
        ({"agent": {"image": "lab/Agent:1"}}, "spec.agent.image"),
        ({"agent": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}}, "duplicate entries"),
        ({"agent": {"resources": {"limits": {"cpu": -1}}}}, "must be a quantity of zero or more"),
        ({"agent": {"resources": {"limits": {"cpu": "1e400"}}}}, "spec.agent.resources.limits.cpu"),
        ({"agent": {"resources": {"limits": {"gpu": 1}}}}, "devices such as nvidia.com/gpu"),
        ({"agent": {"resources": {"limits": {"nvidia.com/gpu": "500m"}}}}, "counted by whole numbers"),
        ({"agent": {"resources": {"limits": {"cpu": 1}, "requests": {"cpu": "1100m"}}}}, "above its limit"),
        ({"agent": {"resources": {"requests": {"nvidia.com/gpu": 1}}}}, "devices cannot be shared"),
        ({"agent": {"resources": {"limits": {"nvidia.com/gpu": "one"}}}}, "nvidia.com/gpu"),
        ({"agent": {"resources": {"claims": [{"name": "gpu"}]}}}, "must be declared in resourceClaims"),
        ({"agent": {"resourceClaims": [{"name": "gpu"}]}}, "give exactly one of resourceClaimName"),
        ({"agent": {"nodeSelector": {"a b": "c"}}}, "keys must be"),
        ({"agent": {"nodeSelector": {"a..b/c": "d"}}}, "keys must be"),
        ({"agent": {"nodeSelector": {"x" * 64: "a"}}}, "keys must be"),
        ({"agent": {"nodeSelector": {f"{'x' * 254}/a": "b"}}}, "keys must be"),
        ({"agent": {"nodeSelector": {"a": "x" * 64}}}, "spec.agent.nodeSelector.a"),
        ({"agent": {"tolerations": [{"key": "x" * 64, "operator": "Exists"}]}}, "tolerations[0].key"),
        (needed({"key": "a", "operator": "In"}), "operators In and NotIn need values"),
        (needed({"key": "a", "operator": "Exists", "values": ["b"]}), "take no values"),
        (needed({"key": "a", "operator": "Gt", "values": ["b"]}), "take one whole number"),
        (needed({"key": "a", "operator": "In", "values": ["b"]}, "matchFields"), '"metadata.name"'),
        ({"agent": {"tolerations": [{"operator": "Exists", "value": "a", "key": "b"}]}}, "takes no value"),
        ({"agent": {"affinity": {"nodeAffinity": {"required": []}}}}, "field not declared in schema"),
        ({"agent": {"env": [{"name": "SAM2_AGENT_DEVICE", "value": "cpu"}]}}, "belong to the operator"),
        ({"agent": {"env": [{"name": "sam2_agent_device", "value": "cpu"}]}}, "belong to the operator"),
        ({"agent": {"env": [{"name": "0A", "value": "b"}]}}, "env[0].name"),
        ({"agent": {"env": [{"name": "A", "value": "x" * 4097}]}}, "env[0].value"),
        ({"agent": {"env": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}]}}, "duplicate entries"),
        ({"agent": {"podLabels": {"app.kubernetes.io/name": "mine"}}}, "belong to the operator"),
        ({"agent": {"podLabels": {"controller-revision-hash": "a"}}}, "belong to the operator and to Kube"),
        ({"agent": {"podAnnotations": {"sam2.dev/restart": "mine"}}}, "belong to the operator"),
        (
            {"agent": {"podAnnotations": {f"{APPARMOR}agent": "unconfined"}}},
            "takes runtime/default or localhost",
        ),
        ({"agent": {"podAnnotations": {f"{APPARMOR}other": "runtime/default"}}}, "of the container agent"),
        ({"agent": {"onNodeLoss": "Panic"}}, 'supported values: "Wait", "Replace"'),
        (
            {"agent": {"onNodeLoss": "Replace"}, "model": {"cache": {"volumeClaimTemplate": TEMPLATE}}},
            "needs a model cache that two nodes can mount",
        ),
        ({"suspend": "yes"}, "spec.suspend"),
        ({"nonsense": 1}, "field not declared in schema"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(
    namespace: Namespace, spec: dict[str, Any], sentence: str
) -> None:
    manifest = tracker_manifest(namespace.name, URL)
    for part, value in spec.items():
        manifest["spec"][part] = (
            {**manifest["spec"].get(part, {}), **value} if isinstance(value, dict) else value
        )
    if "config" in spec.get("model", {}):
        manifest["spec"]["model"]["config"] = "sam2.yaml"
    assert sentence in refusal(namespace, manifest)


@pytest.mark.parametrize(
    "path", [("cvat",), ("cvat", "url"), ("cvat", "credentialsSecretRef"), ("model",), ("model", "id")]
)
def test_what_is_needed_cannot_be_left_out(namespace: Namespace, path: tuple[str, ...]) -> None:
    assert path[-1] in refusal(namespace, without(tracker_manifest(namespace.name, URL), *path))


def test_a_model_on_a_volume_needs_all_three(namespace: Namespace) -> None:
    manifest = tracker_manifest(namespace.name, URL)
    manifest["spec"]["model"] = {"volume": {"claimName": "weights"}, "config": "../sam2.yaml"}
    told = refusal(namespace, manifest)
    assert "volume, config and checkpoint belong together" in told
    assert "must be a path relative to the volume's root" in told
    manifest["spec"]["model"] = {"volume": {"claimName": "weights"}, "config": "a.yaml", "checkpoint": "a.pt"}
    assert refusal(namespace, manifest) == ""


@pytest.mark.parametrize("name", ["x" * 47, "cars.lab"])
def test_a_name_that_its_pod_cannot_have_is_refused(namespace: Namespace, name: str) -> None:
    assert "its pod is named after it" in refusal(namespace, tracker_manifest(namespace.name, URL, name))


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ({}, {"cvat": {"url": "https://other.example"}}, "url cannot change"),
        ({}, {"cvat": {"organization": "lab"}}, "organization cannot change"),
        (
            {"model": {"cache": {"volumeClaimTemplate": TEMPLATE}}},
            {"model": {"cache": {"volumeClaimTemplate": {**TEMPLATE, "storageClassName": "slow"}}}},
            "storageClassName cannot change",
        ),
        (
            {"model": {"cache": {"volumeClaimTemplate": TEMPLATE}}},
            {"model": {"cache": {"volumeClaimTemplate": {"size": "10Gi"}}}},
            "storageClassName cannot change",
        ),
        (
            {"model": {"cache": {"volumeClaimTemplate": TEMPLATE}}},
            {"model": {"cache": {"volumeClaimTemplate": {**TEMPLATE, "accessMode": "ReadWriteMany"}}}},
            "accessMode cannot change",
        ),
        (
            {"model": {"cache": {"volumeClaimTemplate": TEMPLATE}}},
            {"model": {"cache": {"volumeClaimTemplate": {**TEMPLATE, "size": "9Gi"}}}},
            "size can only grow",
        ),
    ],
)
def test_what_cannot_change_is_refused(
    namespace: Namespace, before: dict[str, Any], after: dict[str, Any], sentence: str
) -> None:
    assert refusal(namespace, tracker_manifest(namespace.name, URL, **before)) == ""
    assert sentence in refusal(namespace, tracker_manifest(namespace.name, URL, **after))


def test_every_field_is_explained(namespace: Namespace) -> None:
    """`kubectl explain` is the manual: no field without a description."""
    crd = namespace.kubectl.get("crd", "sam2trackers.sam2.dev")
    (version,) = crd["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    silent = list(_undescribed("spec", properties["spec"])) + list(
        _undescribed("status", properties["status"])
    )
    assert silent == []
    told = namespace.kubectl("explain", "s2t.spec.cvat.credentialsSecretRef")
    assert "username and password" in " ".join(told.split())


def _undescribed(path: str, schema: dict[str, Any]) -> list[str]:
    found = [] if schema.get("description") else [path]
    for name, inner in schema.get("properties", {}).items():
        found += _undescribed(f"{path}.{name}", inner)
    items = schema.get("items", {})
    for name, inner in items.get("properties", {}).items():
        found += _undescribed(f"{path}[].{name}", inner)
    return found

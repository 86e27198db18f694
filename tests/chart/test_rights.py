"""The operator with the chart's rights, and no others: what the audit log says of its account."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.helm import CHART, Helm, Manifest
from tests.chart.operating import RELEASE, Installed, certificates, running, secret, tracker
from tests.cluster.fixtures import RunningControlPlane
from tests.cluster.kubectl import Kubectl
from tests.controlplane.account import Account, requests
from tests.cvat_standin.client import CVAT, wait_for

pytestmark = pytest.mark.controlplane

NAMESPACE = "rights"
SCOPED = "rights-scoped"

_NAMED = {"matchLabels": {"app": "new"}}
_POD = {
    "metadata": {"labels": {"app": "new"}},
    "spec": {"containers": [{"name": "new", "image": "new"}]},
}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_OBJECTS: dict[str, Manifest] = {
    "statefulsets": {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "spec": {"serviceName": "new", "selector": _NAMED, "template": _POD},
    },
    "networkpolicies": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "spec": {"podSelector": {}},
    },
    "serviceaccounts": {"apiVersion": "v1", "kind": "ServiceAccount"},
    "persistentvolumeclaims": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": _CLAIM},
    "secrets": {"apiVersion": "v1", "kind": "Secret"},
}
_APPLIED = "a server-side apply of what is not there yet: the audit log calls it a patch"
JUSTIFIED = {("create", resource): _APPLIED for resource in _OBJECTS}
"""Granted, and not seen in the audit log of the life of the tracker below."""
RACED = {("delete", "pods"): "an outdated pod that never became ready, if no controller was faster"}
"""Granted, and maybe seen."""


@pytest.fixture(scope="module")
def kubectl(control_plane: RunningControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The administrator's, in a cluster with the chart twice: for all namespaces, and for two of its own."""
    kubectl = control_plane.kubectl
    for name in (NAMESPACE, SCOPED, "scoped-one", "scoped-two", "scoped-other"):
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    helm = Helm(tmp_path_factory.mktemp("helm"), kubectl.kubeconfig)
    helm("install", RELEASE, CHART, "--namespace", NAMESPACE, "--no-hooks")
    only = ("--set", "namespaces={scoped-one,scoped-two}", "--set", "rbac.aggregateToDefaultRoles=false")
    helm("install", RELEASE, CHART, "--namespace", SCOPED, "--no-hooks", *only)
    return kubectl


@pytest.fixture
def installed(kubectl: Kubectl, tmp_path: Path) -> Iterator[Installed]:
    """The release for all namespaces."""
    with running(kubectl, NAMESPACE, tmp_path) as operator:
        yield operator


@pytest.fixture
def scoped(kubectl: Kubectl, tmp_path: Path) -> Iterator[Installed]:
    """The release for two namespaces."""
    with running(kubectl, SCOPED, tmp_path) as operator:
        yield operator


def test_the_operator_has_the_rights_that_it_uses_and_no_others(
    installed: Installed, kubectl: Kubectl, control_plane: RunningControlPlane, cvat: CVAT
) -> None:
    cvat.add_user("agent")
    kubectl.apply(
        _NO_PODS,
        secret(cvat.add_token("agent"), NAMESPACE),
        certificates(NAMESPACE),
        tracker(cvat.url, NAMESPACE),
    )

    # A tracker is made, whose pod a quota forbids at first ...
    wait_for(lambda: "exceeded quota" in json.dumps(installed.status()), "the quota's words", within=90)
    kubectl("delete", "resourcequota", "no-pods", "--namespace", NAMESPACE)
    wait_for(lambda: installed.is_there("statefulset", "cars-agent"), "the StatefulSet", within=60)
    wait_for(lambda: installed.is_there("pod", "cars-agent-0"), "the pod", within=60)
    assert installed.is_there("secret", "cars-state")
    assert installed.is_there("pvc", "cars-cache")
    wait_for(lambda: installed.condition("StateStoreReachable") == "True", "Redis", within=60)
    for path in ("/livez", "/readyz", "/metrics"):
        assert installed.probe(path) == 200

    # ... changed: another pod, no claim, another Redis ...
    before = installed.get("pod", "cars-agent-0")["metadata"]["uid"]
    own = {"url": "redis://127.0.0.1:1/0"}
    _patch(kubectl, {"model": {"cache": None, "precision": "float32"}, "state": own})
    wait_for(lambda: not installed.is_there("secret", "cars-state"), "the end of the Secret", within=60)
    wait_for(lambda: _uid(installed) not in {before, None}, "another pod", within=90)

    # ... and deleted.
    _patch(kubectl, {"state": {"url": None}})
    kubectl("delete", "s2t", "cars", "--namespace", NAMESPACE, "--timeout=90s")
    assert cvat.functions() == []

    account = Account(control_plane, NAMESPACE, f"{RELEASE}-operator")
    assert account.refusals() == []
    asked = requests(control_plane.audit_log, account.username)
    used = {(each["verb"], _resource(each)) for each in asked if "objectRef" in each}
    assert _granted(kubectl) - used - set(RACED) == set(JUSTIFIED)


@pytest.mark.parametrize("resource", _OBJECTS)
def test_a_server_side_apply_needs_the_right_to_create(kubectl: Kubectl, resource: str) -> None:
    """What `JUSTIFIED` says, for each of them: with all other rights of the operator it is refused."""
    wanted = {**_OBJECTS[resource], "metadata": {"name": "new", "namespace": NAMESPACE}}
    group = wanted["apiVersion"].rpartition("/")[0]
    account = f"no-create-{resource}"
    about = {"name": account, "namespace": NAMESPACE}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": about}
    user = {"kind": "User", "name": account, "apiGroup": "rbac.authorization.k8s.io"}
    rule = {"apiGroups": [group], "resources": [resource], "verbs": ["get", "patch", "delete"]}
    kubectl.apply(
        {**rbac, "kind": "Role", "rules": [rule]},
        {**rbac, "kind": "RoleBinding", "roleRef": {**user, "kind": "Role"}, "subjects": [user]},
    )
    options = ("--server-side", "--validate=false", f"--as={account}", "-f", "-")
    done = kubectl.run("apply", *options, stdin=json.dumps(wanted))
    assert done.returncode != 0
    assert f'cannot create resource "{resource}"' in done.stderr, done.stderr


def test_with_namespaces_others_are_neither_seen_nor_touched(
    scoped: Installed, kubectl: Kubectl, control_plane: RunningControlPlane, cvat: CVAT
) -> None:
    token = cvat.add_user("agent").token
    for namespace in ("scoped-one", "scoped-other"):
        kubectl.apply(secret(token, namespace), certificates(namespace), tracker(cvat.url, namespace))
    wait_for(lambda: scoped.is_there("statefulset", "cars-agent", "scoped-one"), "the StatefulSet", within=90)
    wait_for(lambda: scoped.condition("StateStoreReachable", "scoped-one") == "True", "Redis", within=60)

    # One of its namespaces goes: that is told, and the other is served as before.
    kubectl("delete", "namespace", "scoped-two", "--timeout=60s")
    wait_for(lambda: "scoped-two" in scoped.log.read_text(), "the namespace to be missed", within=90)
    kubectl.apply(tracker(cvat.url, "scoped-one", "bikes"))
    wait_for(lambda: scoped.is_there("statefulset", "bikes-agent", "scoped-one"), "the second", within=90)
    for name in ("cars", "bikes"):
        kubectl("delete", "s2t", name, "--namespace", "scoped-one", "--timeout=90s")

    other = kubectl.get("s2t", "cars", "--namespace", "scoped-other")
    assert "status" not in other
    assert "finalizers" not in other["metadata"]
    assert cvat.functions() == []
    account = Account(control_plane, SCOPED, f"{RELEASE}-operator")
    assert [each for each in account.refusals() if "/namespaces/scoped-two/" not in each] == []
    elsewhere = {
        each["objectRef"].get("namespace", "(all)")
        for each in requests(control_plane.audit_log, account.username)
        if "objectRef" in each
    } - {"scoped-one", "scoped-two"}
    assert elsewhere == set(), "it asked about other namespaces"


def test_a_namespace_that_is_not_there_is_told_by_the_install(kubectl: Kubectl, tmp_path: Path) -> None:
    helm = Helm(tmp_path, kubectl.kubeconfig)
    options = ("--namespace", NAMESPACE, "--no-hooks", "--set", "namespaces={no-such-team}")
    done = helm.run("install", "elsewhere", CHART, *options)
    helm("uninstall", "elsewhere", "--namespace", NAMESPACE, "--no-hooks", "--ignore-not-found")
    assert done.returncode != 0
    assert 'namespaces "no-such-team" not found' in done.stderr


def _uid(installed: Installed) -> str | None:
    done = installed.kubectl.run(
        "get", "pod", "cars-agent-0", "-n", NAMESPACE, "-o", "jsonpath={.metadata.uid}"
    )
    return done.stdout or None


def _resource(request: Manifest) -> str:
    about = request["objectRef"]
    return "/".join(part for part in (about["resource"], about.get("subresource")) if part)


def _granted(kubectl: Kubectl) -> set[tuple[str, str]]:
    rules = kubectl.get("clusterrole", f"{RELEASE}-operator:{NAMESPACE}")["rules"]
    return {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}


def _patch(kubectl: Kubectl, spec: Manifest) -> None:
    kubectl("patch", "s2t", "cars", "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": spec}))


_NO_PODS = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "no-pods", "namespace": NAMESPACE},
    "spec": {"hard": {"pods": "0"}},
}

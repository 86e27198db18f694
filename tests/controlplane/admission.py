"""What an admission policy of the cluster forbids, as a platform team's does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.cvat_standin.waiting import wait_for

if TYPE_CHECKING:
    from tests.controlplane.harness import Namespace

_GROUPS = {"statefulsets": "apps", "pods": "", "events": ""}
_POD_SPEC = {"containers": [{"name": "probe", "image": "probe"}]}


@contextmanager
def forbidden(namespace: Namespace, resource: str, sentence: str, probe: dict[str, Any]) -> Iterator[None]:
    """Let nobody write such objects, of which the probe is one, in the namespace while the block runs."""
    policy = f"no-{resource}-{namespace.name}"
    namespace.kubectl.apply(*_policy(policy, namespace.name, resource, sentence))

    def is_enforced() -> bool:
        done = namespace.kubectl.run("create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe))
        return "ValidatingAdmissionPolicy" in done.stderr

    try:
        wait_for(is_enforced, "the policy to be enforced", within=60)
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            namespace.kubectl("delete", kind, policy)
    wait_for(lambda: not is_enforced(), "the policy to be gone", within=60)


def pod(namespace: str) -> dict[str, Any]:
    """A Pod, to probe with."""
    metadata = {"name": "probe", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _POD_SPEC}


def stateful_set(namespace: str) -> dict[str, Any]:
    """A StatefulSet, to probe with."""
    labels = {"app": "probe"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "probe", "namespace": namespace},
        "spec": {
            "serviceName": "probe",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _POD_SPEC},
        },
    }


def _policy(name: str, namespace: str, resource: str, sentence: str) -> list[dict[str, Any]]:
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    rule = {
        "apiGroups": [_GROUPS[resource]],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": [resource],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": sentence}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    return [
        {**api, "kind": "ValidatingAdmissionPolicy", "spec": policy},
        {**api, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding},
    ]

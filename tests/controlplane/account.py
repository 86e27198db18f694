"""The operator's account, with the rights that the chart gives it, and what the audit log says of it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import kubernetes
import yaml

from sam2_operator.adapters.kube.api import KubeApi
from tests.cluster import binaries, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane

_CHART = places.REPOSITORY / "charts" / "sam2-tracker-operator"
_RELEASE = "suite"
_RIGHTS = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


@dataclass(frozen=True)
class Account:
    """A service account of the cluster."""

    plane: RunningControlPlane
    namespace: str
    name: str = f"{_RELEASE}-operator"

    @property
    def username(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def connected(self) -> KubeApi:
        """Connect to the API server as this account."""
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(self.plane.kubeconfig), client_configuration=configuration)
        configuration.cert_file = configuration.key_file = None
        configuration.api_key = {"authorization": self.token()}
        configuration.api_key_prefix = {"authorization": "Bearer"}
        return KubeApi.of(configuration)

    def token(self) -> str:
        return self.plane.kubectl(
            "create", "token", self.name, "--namespace", self.namespace, "--duration=24h"
        ).strip()

    def refusals(self) -> list[str]:
        """Give what it asked for without the right to: not what quotas and admission refuse."""
        return sorted(
            {
                f"{each['verb']} {each['requestURI']}: {each['responseStatus'].get('message')}"
                for each in requests(self.plane.audit_log, self.username)
                if each["responseStatus"]["code"] == 403 and _is_unauthorized(each)
            }
        )


def make(plane: RunningControlPlane, namespace: str, *values: str) -> Account:
    """Make the account and its rights as the chart does, without the rest of the chart."""
    binaries.ensure(["helm"])
    rendered = subprocess.run(
        [str(binaries.program("helm")), "template", _RELEASE, str(_CHART), "--namespace", namespace, *values],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    plane.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    wanted = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] in _RIGHTS]
    plane.kubectl.apply(*wanted)
    return Account(plane, namespace)


def requests(audit_log: Path, username: str) -> Iterator[dict[str, Any]]:
    """Give what an account asked the API server for."""
    with audit_log.open() as lines:
        for line in lines:
            # A line that is being written while it is read ends the log for now.
            if username in line and line.endswith("\n"):
                event = json.loads(line)
                if event["user"]["username"] == username:
                    yield event


def _is_unauthorized(event: dict[str, Any]) -> bool:
    """A server-side apply that would create is refused by its handler, after the request was allowed."""
    decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
    message = event["responseStatus"].get("message", "")
    return decision == "forbid" or (" cannot " in message and " resource " in message)

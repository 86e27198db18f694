"""The operator as in a pod: it finds the API server, its token and the CA where a kubelet puts them.

The folder of the ServiceAccount is laid over /run in a mount namespace of the process's own.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cluster.kubectl import Kubectl

_ENTER = """
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
mount --bind "$0" /run/secrets/kubernetes.io/serviceaccount
exec "$@"
"""
ACCOUNT = "operator"


@dataclass(frozen=True)
class Pod:
    """What a kubelet gives a pod of the ServiceAccount `operator`.

    Attributes:
        folder: mounted as the ServiceAccount's folder; what the kubelet renews.
        namespace: the ServiceAccount's.
    """

    folder: Path
    namespace: str
    kubectl: Kubectl

    @classmethod
    def prepare(cls, folder: Path, namespace: str, kubectl: Kubectl, kubeconfig: Path) -> Pod:
        """Make the ServiceAccount, without rights, and the files except the token."""
        kubectl("-n", namespace, "create", "serviceaccount", ACCOUNT)
        folder.mkdir()
        cluster = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]
        (folder / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        (folder / "namespace").write_text(namespace)
        (folder / "server").write_text(cluster["server"])
        return cls(folder, namespace, kubectl)

    def grant(self, namespace: str, rules: Sequence[dict[str, Any]]) -> None:
        """Give it rights in a namespace, in place of those that it had there."""
        about = {"metadata": {"name": ACCOUNT, "namespace": namespace}}
        group = "rbac.authorization.k8s.io"
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.namespace}
        role = {"apiGroup": group, "kind": "Role", "name": ACCOUNT}
        self.kubectl.apply({"apiVersion": f"{group}/v1", "kind": "Role", "rules": list(rules), **about})
        self.kubectl.apply(
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "roleRef": role,
                "subjects": [subject],
                **about,
            }
        )

    def renew_token(self) -> str:
        """Put a token in place, as a kubelet does; give the name of the Secret that it lives as long as."""
        bound = f"bound-{secrets.token_hex(4)}"
        self.kubectl("-n", self.namespace, "create", "secret", "generic", bound)
        options = ("--duration=10m", "--bound-object-kind=Secret", f"--bound-object-name={bound}")
        token = self.kubectl("-n", self.namespace, "create", "token", ACCOUNT, *options)
        fresh = self.folder / f"..{bound}"
        fresh.write_text(str(token).strip())
        fresh.rename(self.folder / "token")
        return bound

    def end_token(self, bound: str) -> None:
        """Make the API server refuse a token from now on, as when it has expired."""
        self.kubectl("-n", self.namespace, "delete", "secret", bound)

    @property
    def entry(self) -> tuple[str, ...]:
        """What stands before the operator's command."""
        return ("unshare", "--map-root-user", "--mount", "sh", "-ec", _ENTER, str(self.folder))

    @property
    def environment(self) -> dict[str, str]:
        """What a kubelet sets, so that no kubeconfig is needed."""
        server = urlsplit((self.folder / "server").read_text())
        return {
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "KUBECONFIG": "/nowhere",
        }


EVERYTHING = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)
"""Rights to all in a namespace."""
NO_WATCH = (
    {
        "apiGroups": ["*"],
        "resources": ["*"],
        "verbs": ["get", "list", "create", "update", "patch", "delete"],
    },
)

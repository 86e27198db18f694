"""A namespace with one tracker and all that a spec may name: Secrets, ConfigMaps, functions, a volume."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import redis

from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.kube.answers import NotFoundError
from sam2_operator.adapters.kube.api import MERGE, KubeApi
from tests.cluster.certificates import Authority
from tests.controlplane.harness import make_function
from tests.controlplane.snapshot import children

if TYPE_CHECKING:
    from tests.controlplane.harness import Operator
    from tests.cvat_standin.client import CVAT

TRACKER = "cars"
_GROWING = "growing"
_CONVERGES_SECONDS = 60.0
_STABLE_ROUNDS = 3


@dataclass
class Scratch(AbstractContextManager["Scratch"]):
    """One namespace; what is in CVAT and is not this tracker's is left out of its snapshots."""

    api: KubeApi
    cvat: CVAT
    operator: Operator
    redis_port: int
    proxy_port: int = 0
    namespace: str = field(default_factory=lambda: f"change-{secrets.token_hex(4)}")
    _others: set[int] = field(default_factory=set)
    _given: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.api.call("POST", "/api/v1/namespaces", body={"metadata": {"name": self.namespace}})
        for name in ("one", "two"):
            data = {"token": "token-of-ann", "url": f"redis://127.0.0.1:{self.redis_port}/3"}
            data |= {"one": certificate(), "two": certificate()}
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            self._make("v1", "secrets", "Secret", name, {"data": encoded})
            self._make("v1", "configmaps", "ConfigMap", name, {"data": data})
        self._make_volume()
        self._given = [make_function(self.cvat, "given"), make_function(self.cvat, "given")]
        self._others = {each.id for each in self.cvat.functions()}
        return self

    def __exit__(self, *exception: object) -> None:
        self._delete(self._tracker)
        for _ in range(_STABLE_ROUNDS):
            self.operator.reconcile(self.namespace, TRACKER)
        if self.api.get(self._tracker) is not None:
            body = {"metadata": {"finalizers": None}}
            self.api.call("PATCH", self._tracker, body=body, content_type=MERGE)
        self._delete(f"/api/v1/namespaces/{self.namespace}")
        self._delete(f"/api/v1/persistentvolumes/{self.namespace}")
        for function in self.cvat.functions():
            if function.id in self._given or function.id not in self._others:
                self.cvat.forget_function(function.id)

    def apply(self, spec: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Make or replace the tracker by one of a spec, laid over the least that a tracker needs; give it.

        Not by a server-side apply, which leaves null where the last field of an object goes.
        A dry run only asks whether the API server would take it.

        Raises:
            InvalidObjectError: the API server refuses it.
        """
        least = {
            "cvat": {"url": self.cvat.url, "credentialsSecretRef": {"name": "one"}},
            "model": {"id": "facebook/sam2.1-hiera-tiny", "device": "cpu"},
        }
        text = json.dumps(_laid_over(least, spec)).replace("<redis>", f"127.0.0.1:{self.redis_port}")
        text = text.replace("<proxy port>", str(self.proxy_port))
        for name, function_id in zip(("first", "second"), self._given, strict=True):
            text = text.replace(f'"<{name} function>"', str(function_id))
        live = self.api.get(self._tracker)
        new: dict[str, Any] = {"name": TRACKER, "namespace": self.namespace}
        metadata = new if live is None else live["metadata"]
        manifest = {
            "apiVersion": "sam2.dev/v1alpha1",
            "kind": "SAM2Tracker",
            "metadata": metadata,
            "spec": json.loads(text),
        }
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        if live is None:
            return self.api.call(
                "POST", self._tracker.removesuffix(f"/{TRACKER}"), query=query, body=manifest
            )
        return self.api.call("PUT", self._tracker, query=query, body=manifest)

    def settled(self) -> dict[str, Any]:
        """Reconcile until nothing changes any more; give the snapshot."""
        last = self._look()
        same = 0
        until = time.monotonic() + _CONVERGES_SECONDS
        while same < _STABLE_ROUNDS and time.monotonic() < until:
            found = self._look()
            same = same + 1 if found == last else 0
            last = found
        return last

    def converged(self, unlike: Callable[[dict[str, Any]], Sequence[str]]) -> list[str]:
        """Reconcile until nothing is unlike, or for long enough; give what is."""
        until = time.monotonic() + _CONVERGES_SECONDS
        while (wrong := unlike(self._look())) and time.monotonic() < until:
            continue
        return list(wrong)

    def uid(self) -> str:
        return str(self._live()["metadata"]["uid"])

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._live().get("status", {})
        return found

    def _live(self) -> dict[str, Any]:
        live = self.api.get(self._tracker)
        assert live is not None
        return live

    def _look(self) -> dict[str, Any]:
        self.operator.reconcile(self.namespace, TRACKER)
        live = self._live()
        status, uid = live.get("status", {}), live["metadata"]["uid"]
        conditions = {each["type"]: each for each in status.get("conditions", [])}
        functions = [each for each in self.cvat.functions() if each.id not in self._others]
        return {
            "children": children(self.api, self.namespace, uid),
            "functions": [(each.name, each.visibility, each.supported_shape_types) for each in functions],
            "served": status.get("functionID") in {each.id for each in functions},
            "unsettled": [key for key in ("registration", "obsoleteFunctionIDs") if status.get(key)],
            "user": f"s2t-{uid}" in self._redis_users(),
            "conditions": {
                kind: conditions.get(kind, {}).get("reason")
                for kind in ("FunctionRegistered", "StateStoreReachable")
            },
            "observed": status.get("observedGeneration") == live["metadata"]["generation"],
        }

    @property
    def _tracker(self) -> str:
        return f"/apis/sam2.dev/v1alpha1/namespaces/{self.namespace}/sam2trackers/{TRACKER}"

    def _make(self, version: str, plural: str, kind: str, name: str, content: dict[str, Any]) -> None:
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}
        self.api.call("POST", f"/api/{version}/namespaces/{self.namespace}/{plural}", body=body)

    def _make_volume(self) -> None:
        """Make a volume for the claim of a class that may grow: only a bound claim can."""
        storage_class = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": _GROWING},
            "provisioner": "kubernetes.io/no-provisioner",
            "allowVolumeExpansion": True,
        }
        self.api.apply(f"/apis/storage.k8s.io/v1/storageclasses/{_GROWING}", storage_class)
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": self.namespace},
            "spec": {
                "storageClassName": _GROWING,
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/nowhere"},
                "claimRef": {"namespace": self.namespace, "name": f"{TRACKER}-cache"},
            },
        }
        self.api.call("POST", "/api/v1/persistentvolumes", body=volume)

    def _redis_users(self) -> list[str]:
        with redis.Redis(port=self.redis_port, decode_responses=True) as client:
            found: list[str] = client.acl_users()
            return found

    def _delete(self, path: str) -> None:
        with suppress(NotFoundError):
            self.api.call("DELETE", path)


def _laid_over(least: Any, spec: Any) -> Any:
    """Merge; None in a spec takes away what the least has."""
    if not (isinstance(least, dict) and isinstance(spec, dict)):
        return spec
    merged = {
        key: _laid_over(least.get(key), spec[key]) if key in spec else least[key] for key in {**least, **spec}
    }
    return {key: value for key, value in merged.items() if value is not None}


@cache
def certificate(name: str = "authority") -> str:
    """Give the certificate of a new authority."""
    return Authority.create(name, SystemClock().now()).pair.certificate.decode()

"""What is deleted, edited or exchanged is repaired, or told, within 90 seconds, though no watch tells of it.

A whole operator, whose watches are open and silent, and as many trackers as there are kinds of damage: all is
done at once. With `SAM2_TEST_FULL=1` the operator looks as often as it does by default, otherwise more often.
"""

from __future__ import annotations

import base64
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.adapters.kube.api import MERGE
from sam2_operator.core.workload import RESTART_ANNOTATION
from tests.controlplane import situations
from tests.controlplane.crashpoints.bench import Bench, bench
from tests.controlplane.crashpoints.scene import Scene, describe
from tests.controlplane.crashpoints.supervised import supervised
from tests.controlplane.scratch import certificate
from tests.controlplane.snapshot import KINDS, children, differences
from tests.controlplane.surroundings import ADMIN_PASSWORD
from tests.samples import FULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.agents import SpeakingAgent
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(900)]

REPAIRED_WITHIN_SECONDS = 90.0
BEGIN_WITHIN_SECONDS = 300.0
PACE = {} if FULL else {"INTERVAL_SECONDS": "12", "AGENT_INTERVAL_SECONDS": "4"}
SPEC: dict[str, Any] = {
    "cvat": {"caBundle": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}},
    "model": {"cache": {"volumeClaimTemplate": {"size": "1Gi"}}},
}
AGENTS_KINDS = [kind for kind in KINDS if kind != "Service"]
"""Of trackers that CVAT does not call."""
NAMES = {"Secret": "cars-state", "PersistentVolumeClaim": "cars-cache"}


@dataclass
class Patient:
    """A tracker that serves, as it was before anything was done to it."""

    on: Bench
    scene: Scene
    uid: str = ""
    function: int = 0
    restart: str = ""
    before: dict[str, Any] | None = None

    def path(self, kind: str) -> str:
        return f"{KINDS[kind].format(self.scene.namespace)}/{NAMES.get(kind, 'cars-agent')}"

    def delete(self, path: str) -> None:
        self.scene.api.call("DELETE", path)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.scene.api.call("PATCH", path, body=body, content_type=MERGE)

    def credentials(self, token: str) -> None:
        data = {"token": base64.b64encode(token.encode()).decode()}
        self.patch(f"/api/v1/namespaces/{self.scene.namespace}/secrets/cvat", {"data": data})

    def serves(self) -> bool:
        """Whether the tracker serves with all its objects; what they are is noted."""
        live = self.scene.tracker() or {}
        if reason(live) != "Serving":
            return False
        self.uid, self.function = live["metadata"]["uid"], live["status"]["functionID"]
        self.before, self.restart = self.now(), self.restarted_for()
        return len(self.before) == len(AGENTS_KINDS)

    def restarted_for(self) -> str:
        """Give the digest of what the agent reads only when it starts."""
        live = self.scene.stateful_set() or {}
        annotations = live.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations", {})
        return str(annotations.get(RESTART_ANNOTATION))

    def now(self) -> dict[str, Any]:
        return children(self.scene.api, self.scene.namespace, self.uid)

    def is_repaired(self, *, with_another_function: bool = False) -> bool:
        live = self.scene.tracker() or {}
        present = {each.id for each in self.on.cvat.functions()}
        serving = self.scene.function_id()
        same = (serving != self.function) == with_another_function and serving in present
        with self.on.redis.client() as client:
            user = client.execute_command("ACL", "GETUSER", f"s2t-{self.uid}")
        return bool(same and user and reason(live) == "Serving" and not differences(self.before, self.now()))


@dataclass(frozen=True)
class Damage:
    """What is done to a tracker, and when that is repaired or told."""

    do: Callable[[Patient], Any]
    healed: Callable[[Patient], bool]


def reason(tracker: dict[str, Any], kind: str = "Ready") -> str:
    conditions = tracker.get("status", {}).get("conditions", [])
    return next((str(each["reason"]) for each in conditions if each["type"] == kind), "")


def tells(expected: str) -> Callable[[Patient], bool]:
    return lambda patient: reason(patient.scene.tracker() or {}, "FunctionRegistered") == expected


def deleted(kind: str) -> Damage:
    return Damage(lambda patient: patient.delete(patient.path(kind)), Patient.is_repaired)


def edited(kind: str, body: dict[str, Any]) -> Damage:
    return Damage(lambda patient: patient.patch(patient.path(kind), body), Patient.is_repaired)


def without_user(patient: Patient) -> None:
    with patient.on.redis.client() as client:
        client.execute_command("ACL", "DELUSER", f"s2t-{patient.uid}")


def other_authority(patient: Patient) -> None:
    path = f"/api/v1/namespaces/{patient.scene.namespace}/configmaps/ca"
    live = patient.scene.api.get(path)
    assert live is not None
    patient.patch(path, {"data": {"ca.crt": certificate("another")}})


DAMAGES: dict[str, Damage] = {
    **{f"{kind} deleted": deleted(kind) for kind in AGENTS_KINDS},
    "template edited": edited(
        "StatefulSet", {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}
    ),
    "replicas edited": edited("StatefulSet", {"spec": {"replicas": 0}}),
    "policy edited": edited("NetworkPolicy", {"spec": {"ingress": [{}]}}),
    "identity edited": edited("ServiceAccount", {"automountServiceAccountToken": True}),
    "URL of Redis edited": edited("Secret", {"data": {"url": "eA=="}}),
    "function deleted in CVAT": Damage(
        lambda patient: patient.on.cvat.forget_function(patient.function),
        lambda patient: patient.is_repaired(with_another_function=True),
    ),
    "user of Redis deleted": Damage(without_user, Patient.is_repaired),
    "credentials removed": Damage(
        lambda patient: patient.delete(f"/api/v1/namespaces/{patient.scene.namespace}/secrets/cvat"),
        tells("CredentialsMissing"),
    ),
    "credentials worthless": Damage(
        lambda patient: patient.credentials("worthless"), tells("CredentialsRefused")
    ),
    "CA removed": Damage(
        lambda patient: patient.delete(f"/api/v1/namespaces/{patient.scene.namespace}/configmaps/ca"),
        tells("CABundleMissing"),
    ),
    "CA changed": Damage(
        other_authority,
        lambda patient: patient.restarted_for() != patient.restart and patient.is_repaired(),
    ),
}


@pytest.fixture
def standing(
    api: KubeApi, cvat: CVAT, acl_redis: RedisServer, agent: Callable[[], SpeakingAgent]
) -> Iterator[Bench]:
    with bench(api, cvat, acl_redis, ADMIN_PASSWORD, agent(), silent_watches=True) as running:
        yield running


@contextmanager
def patients(on: Bench) -> Iterator[dict[str, Patient]]:
    """Make a tracker for each damage."""
    made = {name: Patient(on, on.scene()) for name in DAMAGES}
    try:
        for patient in made.values():
            scene = patient.scene
            scene.make()
            body = {"metadata": {"name": "ca"}, "data": {"ca.crt": certificate()}}
            scene.api.call("POST", f"/api/v1/namespaces/{scene.namespace}/configmaps", body=body)
            scene.apply(**SPEC)
        yield made
    finally:
        for patient in made.values():
            patient.scene.end()


def test_what_no_watch_tells_of_is_repaired_in_time(standing: Bench, tmp_path: Path) -> None:
    with patients(standing) as made:
        namespaces = ",".join(patient.scene.namespace for patient in made.values())
        with supervised(standing.places, namespaces, tmp_path, PACE):
            still = _until(made, lambda _, patient: patient.serves(), BEGIN_WITHIN_SECONDS)
            assert not still, f"trackers do not serve to begin with: {still}"
            for name, patient in made.items():
                DAMAGES[name].do(patient)
            left = _until(made, lambda name, patient: DAMAGES[name].healed(patient), REPAIRED_WITHIN_SECONDS)
        for name in DAMAGES:
            hangs = int(name in left)
            situations.add(f"silent watches: {name}", situations.Outcomes(converged=1 - hangs, hangs=hangs))
        told = {name: describe(made[name].scene.tracker()) for name in left}
    assert not left, told


def _until(made: dict[str, Patient], is_so: Callable[[str, Patient], bool], within: float) -> set[str]:
    """Wait until something is so of all, or the time is over; give those of which it is not."""
    until = time.monotonic() + within
    left = set(made)
    while left and time.monotonic() < until:
        for name in sorted(left):
            made[name].scene.play_kubelet()
            if is_so(name, made[name]):
                left.discard(name)
    return left

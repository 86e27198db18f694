"""A namespace that operators serve, what they did there by the API server's audit log, and how it ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sam2_operator.core.naming import FIELD_MANAGER
from tests.controlplane.operating import OperatorProcess, operating
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace
    from tests.redis_server import RedisServer

WITHIN = 90.0
"""Seconds in which the operator repairs, as promised."""
QUICK = {"INTERVAL_SECONDS": "3", "AGENT_INTERVAL_SECONDS": "3"}
"""Settings that scale the pace down."""
SELDOM = {"INTERVAL_SECONDS": "3600", "AGENT_INTERVAL_SECONDS": "30"}
"""Settings with which only a watch can be what woke the operator."""
_WRITES = frozenset({"create", "update", "patch", "delete"})


def until(condition: Callable[[], object], what: str) -> None:
    """Wait as long as a repair may take."""
    wait_for(condition, what, within=WITHIN, every=0.1)


@dataclass(frozen=True)
class Scene:
    """Where a test plays."""

    cluster: RunningControlPlane
    cvat: CVAT
    namespace: Namespace
    redis: RedisServer
    folder: Path

    def operating(
        self, settings: Mapping[str, str], kubeconfig: Path | None = None, **options: Any
    ) -> AbstractContextManager[OperatorProcess]:
        """Run an operator that serves the namespace, as the administrator unless a kubeconfig is given."""
        return operating(
            kubeconfig or self.cluster.kubeconfig,
            self.redis,
            self.folder,
            {"NAMESPACES": self.namespace.name, **settings},
            **options,
        )

    def apply(self, name: str = "cars", **spec: Any) -> None:
        """Make or change a tracker."""
        self.namespace.apply_tracker(self.cvat.url, name, **spec)

    def wait_for_tracker(self, name: str = "cars") -> None:
        """Wait until the operator has done for a tracker what it can without nodes."""
        until(lambda: self.namespace.exists("statefulset", f"{name}-agent"), f"the StatefulSet of {name}")
        until(lambda: self.namespace.status(name).get("conditions"), f"the status of {name}")

    def delete(self, *names: str) -> None:
        """Delete trackers and wait until they are gone."""
        for name in names:
            self.namespace.delete("s2t", name, "--timeout=90s")

    def uid(self, kind: str, name: str) -> str | None:
        """Tell an object from its successor."""
        found = self.namespace.kubectl.run(
            "-n", self.namespace.name, "get", kind, name, "-o", "jsonpath={.metadata.uid}"
        )
        return found.stdout or None if found.returncode == 0 else None

    def image(self) -> str:
        """Give the image that the workload of cars asks for."""
        spec = self.namespace.get("statefulset", "cars-agent")["spec"]["template"]["spec"]
        return str(spec["containers"][0]["image"])

    def calls(self) -> list[dict[str, Any]]:
        """Give the operator's own calls that the audit log has of this namespace."""
        events = map(json.loads, self.cluster.audit_log.read_text(encoding="utf-8").splitlines())
        return [
            event
            for event in events
            if event.get("userAgent") == FIELD_MANAGER
            and (event.get("objectRef") or {}).get("namespace") == self.namespace.name
        ]

    def writes(self) -> list[str]:
        """Give those of them that write, as `verb resource/name: status`."""
        return [
            f"{event['verb']} {event['objectRef'].get('resource')}/{event['objectRef'].get('name')}: "
            f"{event.get('responseStatus', {}).get('code')}"
            for event in self.calls()
            if event["verb"] in _WRITES
        ]

    def comes_to_rest(self, operator: OperatorProcess, *, reconciles: int = 3) -> None:
        """Wait until so many reconciles in a row have written nothing."""

        def rests() -> bool:
            before, began = len(self.writes()), operator.reconciles()
            until(lambda: operator.reconciles() >= began + reconciles, "some reconciles")
            return len(self.writes()) == before

        until(rests, "the operator to come to rest")

    def repeated_events(self) -> list[str]:
        """Give what events about trackers tell twice in a row."""
        told: dict[str, list[tuple[int, str]]] = {}
        for event in self.namespace.kubectl.get("-n", self.namespace.name, "events")["items"]:
            about = event["involvedObject"]
            if about["kind"] == "SAM2Tracker":
                version = int(event["metadata"]["resourceVersion"])
                told.setdefault(about["name"], []).append((version, f"{event['reason']}: {event['message']}"))
        return [
            later[1]
            for events in told.values()
            for earlier, later in pairwise(sorted(events))
            if earlier[1] == later[1]
        ]

    def outcomes(self, *trackers: str) -> Outcomes:
        """Judge trackers that should be there: one function and a StatefulSet each, and nothing more."""
        functions = {function.id for function in self.cvat.functions()}
        ids = [self.namespace.status(name).get("functionID") for name in trackers]
        converged = sum(
            each in functions and self.namespace.exists("statefulset", f"{name}-agent")
            for name, each in zip(trackers, ids, strict=True)
        )
        return Outcomes(
            tried=len(trackers),
            converged=converged,
            duplicates=len(functions - set(ids)),
            hangs=len(trackers) - converged,
        )

"""A tracker on the cluster as its users see and handle it, and who holds its lease, which only tests ask."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from sam2_agent.adapters.redis_store import NONCE_CHARACTERS
from tests.cluster.waiting import wait_until
from tests.cvat_standin.annotator import TrackedFrame
from tests.demo import install
from tests.demo.clips import Clip
from tests.demo.install import NAMESPACE, RELEASE, SYSTEM, TRACKER
from tests.demo.session import Interruption, Session
from tests.demo.stage import Stage

TOLD_WITHIN = 90.0
"""Seconds until a condition tells what is the matter."""
HEALED_WITHIN = 180.0
"""Seconds until an agent has started and serves, or has said why not, on a busy machine too."""


@dataclass(frozen=True)
class LiveTracker:
    """A tracker of that name on the stage."""

    stage: Stage
    name: str = TRACKER

    def manifest(self, **spec: Mapping[str, Any]) -> dict[str, Any]:
        """What a user would apply; `spec` is laid over the parts of the usual one."""
        manifest = install.tracker(self.name)
        for part, value in spec.items():
            manifest["spec"][part] = {**manifest["spec"].get(part, {}), **value}
        return manifest

    def apply(self, **spec: Mapping[str, Any]) -> None:
        """`kubectl apply` of the usual manifest with this laid over it, and nothing else."""
        install.apply_tracker(self.stage.kubectl, self.manifest(**spec))

    def get(self) -> dict[str, Any]:
        """`kubectl get`."""
        return self._get("s2t", self.name)

    def condition(self, kind: str) -> dict[str, Any]:
        """The condition of that type; empty until the operator has written it."""
        conditions = self.get().get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    def wait_for_reason(self, kind: str, reasons: Collection[str], *, within: float = TOLD_WITHIN) -> str:
        """The message of the condition once it has one of the reasons."""
        seen: dict[str, Any] = {}

        def told() -> bool:
            seen.update(self.condition(kind))
            return seen.get("reason") in reasons

        assert wait_until(told, within, every=0.5), f"{kind} of {self.name} is {seen}"
        return str(seen["message"])

    def wait_until_ready(self, *, within: float = HEALED_WITHIN) -> None:
        """Return once it is Ready with the spec that it has now."""

        def ready() -> bool:
            condition, tracker = self.condition("Ready"), self.get()
            current = condition.get("observedGeneration") == tracker["metadata"]["generation"]
            return current and condition.get("status") == "True"

        assert wait_until(ready, within, every=0.5), f"{self.name} is {self.condition('Ready')}"

    def pod(self) -> dict[str, Any] | None:
        """The agent's pod."""
        found = self.stage.kubectl(
            "--namespace", NAMESPACE, "get", "pod", self.pod_name, "--ignore-not-found", "-o", "json"
        )
        return json.loads(found) if found else None

    @property
    def pod_name(self) -> str:
        """How the agent's pod is named."""
        return f"{self.name}-agent-0"

    def uid(self) -> str | None:
        """The uid of the agent's pod."""
        pod = self.pod()
        return None if pod is None else str(pod["metadata"]["uid"])

    def holder(self) -> str:
        """The uid of the pod that holds the lease in Redis; empty if none does."""
        url = base64.b64decode(self._get("secret", f"{self.name}-state")["data"]["url"]).decode()
        key = f"s2t:{{{self.get()['metadata']['uid']}}}:lease"
        ask = ("redis-cli", "--no-auth-warning", "-u", "$URL", "GET", "$0")
        token = self.stage.kubectl(
            "--namespace", SYSTEM, "exec", "--stdin", f"{RELEASE}-redis-0", "--container", "redis", "--",
            "sh", "-c", "URL=$(cat); " + " ".join(f'"{word}"' for word in ask), key,
            stdin=url,
        )  # fmt: skip
        return token.strip()[NONCE_CHARACTERS:]

    def function_id(self) -> int:
        """The id of its function in CVAT."""
        return install.function_id(self.stage.kubectl, self.name)

    def served_from(self) -> list[str]:
        """The addresses from which requests were completed, in order; several in a row from one as one."""
        route = f"POST /api/functions/queues/function:{self.function_id()}/requests/{{request}}/complete"
        done = [entry.client for entry in self.stage.cvat.log(route) if entry.status == 204]
        return [address for address, _ in groupby(done)]

    def play(
        self,
        clip: Clip,
        *,
        interruptions: Mapping[int, Interruption] | None = None,
        on_frame: Callable[[TrackedFrame], None] = lambda _frame: None,
    ) -> Session:
        """Let the annotator work with this tracker on a new task of the clip."""
        stage = replace(self.stage, function_id=self.function_id())
        return stage.play(clip, interruptions=interruptions, on_frame=on_frame)

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        return self.stage.kubectl.get("--namespace", NAMESPACE, kind, name)

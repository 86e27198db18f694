"""Everything there is in a run, wired together."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, TextIO

from sam2_operator.core.naming import key_prefix
from sam2_operator.errors import OperatorError
from tests.operator_simulation.agents import Agents, setting
from tests.operator_simulation.cvat import CVAT
from tests.operator_simulation.faults import Faults
from tests.operator_simulation.kubernetes.controllers import Controllers
from tests.operator_simulation.kubernetes.http import Server
from tests.operator_simulation.kubernetes.store import ApiError, Store
from tests.operator_simulation.network import Network
from tests.operator_simulation.operators import Operators
from tests.operator_simulation.ports import Redis, VirtualClock
from tests.operator_simulation.strands import StrandLoop
from tests.operator_simulation.witness import Witness
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest
    from tests.simulation.processes import Process


class World:
    """Kubernetes, CVAT, Redis, agents, and the operators among them."""

    def __init__(self, rng: Random, faults: Faults, trace_to: TextIO | None) -> None:
        self.rng = rng
        self.loop = StrandLoop()
        self.trace = Trace(self.loop.time, trace_to)
        self.network = Network(self.loop, rng, self.trace, faults)
        self.store = Store(VirtualClock(self.loop).now, self._changed, self._admit)
        self.server = Server(self.store)
        self.cvat = CVAT(self.loop.time, rng, rng.choice((403, 404)), faults.list_late)
        self.redis = Redis()
        self.controllers = Controllers(self.loop, rng, self.store)
        self.agents = Agents(self.loop, rng, self.store, self.cvat)
        self.writes: list[str] = []
        """What operators wrote, in Kubernetes and CVAT."""
        self.refuse_changes = False
        """Whether an admission policy refuses changes of StatefulSets."""
        self.operators = Operators(self)
        self.witness = Witness(self)
        self.cvat.deleting = self.witness.function_deleted
        self.network.kill = self.operators.kill
        self.network.pause = self.operators.pause
        self._reconciling: Counter[tuple[str, str]] = Counter()

    def begin(self, tracker: str, process: Process) -> None:
        """A reconcile begins."""
        self._reconciling[tracker, process.name] += 1
        if self._reconciling[tracker, process.name] > 1:
            self.witness.complain("hangs", f"{process.name} reconciles {tracker} twice at once")

    def end(self, tracker: str, process: Process) -> None:
        """A reconcile ended."""
        self._reconciling[tracker, process.name] -= 1

    def failed(self, process: Process, tracker: str, error: Exception) -> None:
        """A reconcile ended by an error: one that the operator knows is an everyday thing."""
        self.trace.note(process.name, f"{tracker}: {type(error).__name__}: {error}")
        if not isinstance(error, OperatorError):
            self.witness.complain("hangs", f"reconciling fails by a {type(error).__name__}: {error}")

    def _changed(self, plural: str, live: Manifest) -> None:
        self.controllers.notice(plural, live)
        self.agents.notice(plural, live)
        self.operators.notice(plural, live)
        self.witness.notice(plural, live)
        if plural == "pods" and live["metadata"]["uid"] in self.agents.serving:
            self.redis.keys.add(setting(live["spec"], "KEY_PREFIX") or key_prefix("none"))

    def _admit(self, plural: str, _new: Manifest, old: Manifest | None) -> None:
        if self.refuse_changes and plural == "statefulsets" and old is not None:
            raise ApiError(403, "admission webhook denied the request: not now")

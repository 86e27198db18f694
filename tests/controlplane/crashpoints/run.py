"""One scenario, cut at one point or at none: bring it about, let time pass, and see how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.controlplane.crashpoints.gate import CutOffError
from tests.controlplane.crashpoints.process import HangsError, OperatorProcess, ProcessDiedError
from tests.controlplane.crashpoints.scenarios import KILLS
from tests.controlplane.crashpoints.scene import SHAPES, TRACKER
from tests.controlplane.crashpoints.verdict import Expectation, Flaw, forget_users
from tests.controlplane.harness import make_function
from tests.controlplane.snapshot import children

if TYPE_CHECKING:
    from tests.controlplane.crashpoints.bench import Bench
    from tests.controlplane.crashpoints.gate import Call
    from tests.controlplane.crashpoints.scenarios import Point, Scenario

SETTLE_SECONDS = 61.0
LATE_SECONDS = 30.0
_ROUNDS = 15
_ROUNDS_OF_A_TIME = 3
_STRIDE, _LONGEST = 7, 41
"""Rivals are killed at a call of theirs that is another at each point: a stride through those they make."""


class MissedError(Exception):
    """A run made fewer calls than the run that listed the points."""


class Run:
    """One scenario on one bench."""

    def __init__(
        self, on: Bench, scenario: Scenario, point: Point | None, expected: dict[str, Any] | None
    ) -> None:
        self._bench, self._scenario, self._point = on, scenario, point
        self._scene = on.scene()
        self._operators: list[OperatorProcess] = []
        self._offset = 0.0
        self._down = False
        self._expectation = Expectation(
            scenario.function,
            present=scenario.change is not None or scenario.again,
            retained=scenario.retained,
            children=expected,
        )
        self._failed: list[Flaw] = []
        """What went wrong at the point: that is in a relay's thread, whose errors nobody else would see."""
        self.calls: list[Call] = []
        self.snapshot: dict[str, Any] | None = None

    def play(self) -> list[Flaw]:
        """Give what is wrong in the end.

        Raises:
            MissedError: nothing is, but the operator was not cut off either.
        """
        try:
            self._scene.make()
            self._make_strangers()
            self._start()
            self._prepare()
            self._change()
            self._bench.gate.arm(
                self._point.number if self._point else None,
                self._point.when if self._point else "before",
                self._act,
            )
            return [*self._converge(), *self._failed] or self._met()
        except HangsError as error:
            return [Flaw("hangs", str(error))]
        finally:
            self._bench.gate.disarm()
            for operator in self._operators:
                operator.kill()
            with self._bench.redis.client() as client:
                forget_users(client)
            self._scene.end()

    def _met(self) -> list[Flaw]:
        """A point that was not met says nothing; only after the last write does their number always vary."""
        if self._point is None or self._point.is_after_writes or self._bench.gate.acted_at is not None:
            return []
        raise MissedError(f"the call at which it was to be cut off was never made: {self._point}")

    def _prepare(self) -> None:
        if self._scenario.before is not None:
            self._scene.apply(**self._scenario.before)
            for _ in range(_ROUNDS_OF_A_TIME):
                self._reconcile()
                self._scene.play_kubelet()
            assert self._scene.function_id() is not None, "the scenario cannot begin"
        if self._scenario.listed_late:
            self._bench.cvat.list_late()

    def _change(self) -> None:
        if self._scenario.change is None:
            self._scene.delete()
        else:
            self._scene.apply(**self._scenario.change)

    def _converge(self) -> list[Flaw]:
        gate, flaws = self._bench.gate, [Flaw("hangs", "nothing was tried")]
        for number in range(_ROUNDS):
            self._pass_time(number)
            before = sum(call.writes for call in gate.calls)
            self._reconcile()
            if self._scenario.again and self._scene.tracker() is None:
                self._scene.apply()
            self._scene.play_kubelet()
            with self._bench.redis.client() as client:
                flaws = self._expectation.flaws(self._scene, client)
            quiet = sum(call.writes for call in gate.calls) == before
            if not flaws and (gate.acted_at is not None or quiet):
                break
        self.calls = list(gate.calls)
        uid = self._scene.uid()
        self.snapshot = children(self._scene.api, self._scene.namespace, uid) if uid else None
        return flaws

    def _pass_time(self, number: int) -> None:
        """First none, then so much that CVAT lists all it has, then so much that all is settled."""
        if number == 0 or number % _ROUNDS_OF_A_TIME:
            return
        if number == _ROUNDS_OF_A_TIME:
            self._offset += LATE_SECONDS
            self._bench.cvat.release_lists()
        else:
            self._offset += SETTLE_SECONDS

    # Operators

    def _start(self) -> None:
        instance = f"operator-{len(self._operators)}"
        self._operators.append(OperatorProcess(self._bench.places, instance))
        self._running = [self._operators[-1]]

    def _reconcile(self) -> None:
        """Let every operator that runs reconcile; start another for one that was killed."""
        if self._down:
            self._down = False
            self._start()
        for operator in self._running:
            try:
                operator.reconcile(self._scene.namespace, TRACKER, self._offset)
            except ProcessDiedError:
                self._start()

    # What happens at the point

    def _act(self) -> None:
        try:
            self._strike()
        except CutOffError:
            raise
        except Exception as error:
            self._failed.append(Flaw("hangs", f"what was to happen at the point failed: {error!r}"))
            raise

    def _strike(self) -> None:
        assert self._point is not None
        self._make_strangers_meanwhile()
        way = self._point.way
        if way in KILLS:
            self._operators[-1].kill()
        if way in {"deleted", "kill+deleted"}:
            self._scene.delete()
            self._expectation.present = False
        if way in {"remade", "kill+remade"}:
            self._remake()
        if way in {"rival", "late rival"}:
            self._let_a_rival_work(SETTLE_SECONDS if way == "late rival" else 0.0)
        if way == "killed rival":
            self._let_a_rival_begin(_STRIDE * self._point.number % _LONGEST)
        if way in {*KILLS, "lose"}:
            raise CutOffError

    def _remake(self) -> None:
        uid = self._scene.uid()
        self._scene.delete_by_force()
        self._expectation.unprovable = {
            each.id for each in self._bench.cvat.functions() if each.id not in self._expectation.strangers
        }
        self._expectation.users = {f"s2t-{uid}"}
        self._scene.apply(**(self._scenario.change or {}))

    def _let_a_rival_work(self, offset: float) -> None:
        rival = OperatorProcess(self._bench.places, "rival")
        self._operators.append(rival)
        self._running.append(rival)
        for _ in range(_ROUNDS_OF_A_TIME):
            rival.reconcile(self._scene.namespace, TRACKER, offset)
        if self._scenario.before is None:
            self._expectation.promised = self._scene.function_id()

    def _let_a_rival_begin(self, calls: int) -> None:
        """Let a second operator make so many calls, then kill it."""
        rival = OperatorProcess(self._bench.places, "rival")
        self._operators.insert(0, rival)
        gate = self._bench.gate
        acted_at = gate.acted_at

        def kill() -> None:
            rival.kill()
            raise CutOffError

        gate.arm(calls, "after", kill)
        try:
            for _ in range(_ROUNDS_OF_A_TIME):
                rival.reconcile(self._scene.namespace, TRACKER, 0.0)
        except ProcessDiedError:
            return
        finally:
            gate.disarm()
            gate.acted_at = acted_at

    def _make_strangers(self) -> None:
        """A function of ann's own of the same name, older than the tracker."""
        self._expectation.strangers.add(self._make_function("ann"))

    def _make_strangers_meanwhile(self) -> None:
        """A function of bob's of the same name, which ann sees, newer than the tracker's intent may be."""
        self._expectation.strangers.add(self._make_function("bob"))

    def _make_function(self, username: str) -> int:
        name = self._scenario.function
        return make_function(self._bench.cvat, name, username=username, visibility="public", shapes=SHAPES)

"""Runs points: brings about the scene, cuts the operator off, and sees how it ends."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.controlplane.crashpoints.gate import Call, CutOffError, Gate
from tests.controlplane.crashpoints.process import HangsError, OperatorProcess, Places, ProcessDiedError
from tests.controlplane.crashpoints.relays import http_relay, redis_relay
from tests.controlplane.crashpoints.scenarios import SCENARIOS, Point, Scenario
from tests.controlplane.crashpoints.scene import SHAPES, TRACKER, Scene
from tests.controlplane.crashpoints.verdict import Expectation, Flaw
from tests.controlplane.harness import make_function
from tests.controlplane.snapshot import children

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.harness import SpeakingAgent
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

SETTLE_SECONDS = 61.0
LATE_SECONDS = 30.0
_ROUNDS = 15
_ROUNDS_OF_A_TIME = 3


@dataclass(frozen=True, slots=True)
class Baseline:
    """A scenario that nobody disturbed: the operator's calls, and the tracker's objects in the end."""

    calls: tuple[Call, ...]
    children: dict[str, Any] | None


@dataclass
class Bench:
    """One control plane, CVAT and Redis, behind relays."""

    api: KubeApi
    cvat: CVAT
    redis: RedisServer
    agent: SpeakingAgent
    gate: Gate
    places: Places
    cvat_url: str
    _baselines: dict[str, Baseline] = field(default_factory=dict)

    def baseline(self, scenario: Scenario) -> Baseline:
        """Run a scenario without disturbing it.

        Raises:
            AssertionError: it does not end as it should.
        """
        if scenario.name not in self._baselines:
            run = _Run(self, scenario, None, None)
            flaws = run.play()
            assert not flaws, f"{scenario.name} without any disturbance: {flaws}"
            self._baselines[scenario.name] = Baseline(tuple(run.calls), run.snapshot)
        return self._baselines[scenario.name]

    def try_point(self, point: Point) -> list[Flaw]:
        """Run a point; give what is wrong in the end."""
        scenario = SCENARIOS[point.scenario]
        return _Run(self, scenario, point, self.baseline(scenario).children).play()

    def scene(self) -> Scene:
        return Scene(f"cut-{secrets.token_hex(4)}", self.api, self.cvat, self.cvat_url, self.agent)


@contextmanager
def bench(
    api: KubeApi, cvat: CVAT, redis: RedisServer, redis_password: str, agent: SpeakingAgent
) -> Iterator[Bench]:
    """Put the relays in place; CVAT gets the accounts of ann, whose tracker it is, and of bob."""
    cvat.add_user("ann")
    cvat.add_user("bob")
    gate = Gate()
    configuration = api.client.configuration
    tls = {
        "cert_file": configuration.cert_file,
        "key_file": configuration.key_file,
        "ca_certs": configuration.ssl_ca_cert,
    }
    with ExitStack() as stack:
        kubernetes = stack.enter_context(http_relay(configuration.host, gate, "kubernetes", **tls))
        cvat_url = stack.enter_context(http_relay(cvat.url, gate, "cvat"))
        port = stack.enter_context(redis_relay(redis.port, gate))
        places = Places(kubernetes, f"redis://admin@127.0.0.1:{port}/0", redis_password)
        yield Bench(api, cvat, redis, agent, gate, places, cvat_url)


class _Run:
    """One scenario, cut at one point or at none."""

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
        self.calls: list[Call] = []
        self.snapshot: dict[str, Any] | None = None

    def play(self) -> list[Flaw]:
        """Give what is wrong in the end."""
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
            return self._converge()
        except HangsError as error:
            return [Flaw("hangs", str(error))]
        finally:
            self._bench.gate.disarm()
            for operator in self._operators:
                operator.kill()
            with self._bench.redis.client() as client:
                _forget_users(client)
            self._scene.end()

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
        assert self._point is not None
        self._make_strangers_meanwhile()
        way = self._point.way
        if way in {"kill", "kill+remade"}:
            self._operators[-1].kill()
        if way == "deleted":
            self._scene.delete()
            self._expectation.present = False
        if way in {"remade", "kill+remade"}:
            self._remake()
        if way in {"rival", "late rival"}:
            self._let_a_rival_work(SETTLE_SECONDS if way == "late rival" else 0.0)
        if way in {"kill", "kill+remade", "lose"}:
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

    def _make_strangers(self) -> None:
        """A function of ann's own of the same name, older than the tracker."""
        self._expectation.strangers.add(self._make_function("ann"))

    def _make_strangers_meanwhile(self) -> None:
        """A function of bob's of the same name, which ann sees, newer than the tracker's intent may be."""
        self._expectation.strangers.add(self._make_function("bob"))

    def _make_function(self, username: str) -> int:
        name = self._scenario.function
        return make_function(self._bench.cvat, name, username=username, visibility="public", shapes=SHAPES)


def _forget_users(client: Any) -> None:
    users = [str(user, "utf-8") for user in client.execute_command("ACL", "USERS")]
    for user in (user for user in users if user.startswith("s2t-")):
        with suppress(Exception):
            client.execute_command("ACL", "DELUSER", user)

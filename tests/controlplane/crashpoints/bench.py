"""Runs points: brings about the scene, cuts the operator off, and sees how it ends."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.controlplane.crashpoints.gate import Call, Gate
from tests.controlplane.crashpoints.process import Places
from tests.controlplane.crashpoints.relays import http_relay, redis_relay
from tests.controlplane.crashpoints.run import MissedError, Run
from tests.controlplane.crashpoints.scenarios import SCENARIOS, Point, Scenario
from tests.controlplane.crashpoints.scene import Scene
from tests.controlplane.crashpoints.verdict import Flaw

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.agents import SpeakingAgent
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

_TRIES = 10


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
            run = Run(self, scenario, None, None)
            flaws = run.play()
            assert not flaws, f"{scenario.name} without any disturbance: {flaws}"
            self._baselines[scenario.name] = Baseline(tuple(run.calls), run.snapshot)
        return self._baselines[scenario.name]

    def try_point(self, point: Point) -> list[Flaw]:
        """Run a point until it is met; give what is wrong in the end.

        Kubernetes' own controllers do some of the work whenever they come to it. Where they are faster than
        the operator, it has fewer calls to make, and the point may not be among them.
        """
        scenario = SCENARIOS[point.scenario]
        for _ in range(_TRIES):
            with suppress(MissedError):
                return Run(self, scenario, point, self.baseline(scenario).children).play()
        return [Flaw("hangs", f"the call at which it was to be cut off was not made in {_TRIES} runs")]

    def scene(self) -> Scene:
        return Scene(f"cut-{secrets.token_hex(4)}", self.api, self.cvat, self.cvat_url, self.agent)


@contextmanager
def bench(
    api: KubeApi,
    cvat: CVAT,
    redis: RedisServer,
    redis_password: str,
    agent: SpeakingAgent,
    *,
    silent_watches: bool = False,
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
        kubernetes = stack.enter_context(
            http_relay(configuration.host, gate, "kubernetes", silent_watches=silent_watches, **tls)
        )
        cvat_url = stack.enter_context(http_relay(cvat.url, gate, "cvat"))
        port = stack.enter_context(redis_relay(redis.port, gate))
        places = Places(kubernetes, f"redis://admin@127.0.0.1:{port}/0", redis_password)
        yield Bench(api, cvat, redis, agent, gate, places, cvat_url)

"""What befalls the world, one thing at a time, until the calm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.operator_simulation.faults import CALM, Disaster, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.operator_simulation.people import People
    from tests.operator_simulation.world import World


class Disasters:
    """Draws what happens next, and when."""

    def __init__(self, world: World, people: People) -> None:
        self._world, self._people, self._rng = world, people, world.rng
        self.calm = False

    def begin(self) -> None:
        """Let the first one come."""
        every = self._world.network.faults.disaster_every
        self._world.loop.outside(self._rng.expovariate(1 / every), self._strike)

    def end(self) -> None:
        """No fault any more: what is broken is put right, as people would."""
        world = self._world
        self.calm = True
        world.network.faults = CALM
        world.network.away.clear()
        world.cvat.asks_to_wait_until, world.cvat.not_routed = 0.0, None
        world.cvat.show_all()
        world.controllers.refuse_pods = world.refuse_changes = False
        world.controllers.look()
        for spec in self._people.wanted.values():
            spec.pop("agent", None)

    def _strike(self) -> None:
        if self.calm:
            return
        self.begin()
        choices = self._world.network.faults.disasters()
        if choices:
            disaster = self._rng.choice(choices)
            self._world.trace.note("disaster", disaster.name)
            self._acts()[disaster]()

    def _acts(self) -> dict[Disaster, Callable[[], object]]:
        people, world, rng = self._people, self._world, self._rng
        return {
            Disaster.OPERATOR_KILLED: self._kill,
            Disaster.SECOND_OPERATOR: world.operators.start_another,
            Disaster.CVAT_AWAY: lambda: self._away("cvat"),
            Disaster.KUBERNETES_AWAY: lambda: self._away("kubernetes"),
            Disaster.REDIS_AWAY: lambda: self._away("redis"),
            Disaster.CVAT_ASKS_TO_WAIT: self._ask_to_wait,
            Disaster.INGRESS_WITHOUT_CVAT: self._ingress,
            Disaster.FUNCTION_DELETED: people.delete_function,
            Disaster.FUNCTION_MADE: people.make_function,
            Disaster.CHILD_DELETED: people.delete_child,
            Disaster.CHILD_EDITED: people.edit_child,
            Disaster.POD_DELETED: people.delete_pod,
            Disaster.AGENT_CRASHES: world.agents.crash,
            Disaster.SPEC_EDITED: people.edit,
            Disaster.SPEC_EDITED_BACK: people.edit_back,
            Disaster.TRACKER_TOUCHED: people.touch,
            Disaster.TRACKER_DELETED: people.delete,
            Disaster.TRACKER_FORCED_AWAY: people.force_away,
            Disaster.TRACKER_MADE_AGAIN: people.make_again,
            Disaster.TRACKER_MADE_BRIEFLY: people.make_briefly,
            Disaster.SECRET_DELETED: lambda: self._secret(None),
            Disaster.SECRET_OF_ANOTHER: lambda: self._secret("bob"),
            Disaster.SECRET_PUT_BACK: lambda: self._secret("ann"),
            Disaster.NAMESPACE_DELETED: people.delete_namespace,
            Disaster.PODS_REFUSED: lambda: self._for_a_while(
                world.controllers, "refuse_pods", rng.uniform(5, 90)
            ),
            Disaster.CHANGES_REFUSED: lambda: self._for_a_while(world, "refuse_changes", rng.uniform(5, 90)),
        }

    def _kill(self) -> None:
        running = self._world.operators.running
        if running:
            self._world.operators.kill(self._rng.choice(running).process)

    def _away(self, server: Server) -> None:
        self._world.network.away.add(server)
        self._world.loop.outside(self._rng.uniform(1, 100), self._world.network.away.discard, server)

    def _ask_to_wait(self) -> None:
        self._world.cvat.asks_to_wait_until = self._world.loop.time() + self._rng.choice((5.0, 60.0, 200.0))

    def _ingress(self) -> None:
        cvat = self._world.cvat
        cvat.not_routed = self._rng.choice(("/api/", "/api/functions/"))
        self._world.loop.outside(self._rng.uniform(5, 120), setattr, cvat, "not_routed", None)

    def _for_a_while(self, thing: object, flag: str, seconds: float) -> None:
        setattr(thing, flag, True)
        self._world.loop.outside(seconds, setattr, thing, flag, False)

    def _secret(self, username: str | None) -> None:
        if self._people.names:
            self._people.put_secret(self._rng.choice(self._people.names), username)

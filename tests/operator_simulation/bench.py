"""A small stage for single stories: an API server and a CVAT of the simulation, and operators' real parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kubernetes.client import ApiClient

from sam2_operator.adapters.kube.objects import Kube
from sam2_operator.api import API_VERSION, KIND
from sam2_operator.core.ledger import Ledger
from sam2_operator.core.observed import CvatAccess, TokenCredentials
from sam2_operator.core.timestamps import text
from sam2_operator.registrar import Registrar
from tests.operator_simulation.cvat import CVAT, Made
from tests.operator_simulation.kubernetes.http import Server, SimApi
from tests.operator_simulation.kubernetes.store import Store
from tests.operator_simulation.network import Network
from tests.operator_simulation.ports import Asker, Counts, SimCvat, VirtualClock
from tests.operator_simulation.strands import StrandLoop
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ports import CvatSession

T = TypeVar("T")


class Bench:
    """An API server and a CVAT, and as many operators as a test likes."""

    def __init__(self) -> None:
        self.loop = StrandLoop()
        self.clock = VirtualClock(self.loop)
        self.store = Store(self.clock.now)
        self.store.create(("namespaces", "", "lab"), {"metadata": {}})
        self.cvat = CVAT(self.loop.time, Random(0), hidden_as=404)
        network = Network(self.loop, Random(0), Trace(self.loop.time))
        api = SimApi(cast("ApiClient", None), server=Server(self.store), network=network, writes=[])
        self.kube = Kube(api, self.clock, (), "operator-0")
        asker = Asker("operator-0", lambda: None, [])
        self._port = SimCvat(self.cvat, network, self.clock, asker=asker)

    def do(self, what: Callable[[], T]) -> T:
        told = self.loop.in_strand(what)
        self.loop.run(told.done, 10_000.0)
        return told.result()

    def session(self, username: str = "ann") -> CvatSession:
        return self._port.session(
            CvatAccess("https://cvat.example", "", TokenCredentials(f"token-of-{username}"))
        )

    def registrar(self) -> Registrar:
        """An operator that knows all trackers there are by now."""
        ledger = Ledger()
        registrar = Registrar(self.kube, self.clock, ledger, "operator", Counts(lambda: None, lambda _: None))
        ledger.fill(self.do(self.kube.trackers))
        return registrar

    def tracker(self, name: str, status: dict[str, Any] | None = None, **function: Any) -> Tracker:
        spec = {
            "cvat": {"url": "https://cvat.example", "credentialsSecretRef": {"name": "cvat"}},
            "model": {"id": "facebook/sam2.1-hiera-tiny"},
            "function": {"name": "cars", **function},
        }
        key = ("sam2trackers", "lab", name)
        self.store.create(key, {"apiVersion": API_VERSION, "kind": KIND, "spec": spec})
        if status is not None:
            self.store.update_status(key, {"status": status})
        return self.read(name)

    def read(self, name: str) -> Tracker:
        found = self.do(lambda: self.kube.tracker("lab", name))
        assert found is not None
        return found

    def edit_function(self, tracker: str, **function: Any) -> Tracker:
        """Let people change what the tracker says of its function."""
        self.store.update(("sam2trackers", "lab", tracker), {"spec": {"function": function}})
        return self.read(tracker)

    def while_it_is_made(self, act: Callable[[], object]) -> None:
        """Let something happen after CVAT made the next function and before the operator writes it down."""
        make = self.cvat.make

        def made(*arguments: Any, **named: Any) -> Made:
            self.cvat.make = make  # type: ignore[method-assign]
            result = make(*arguments, **named)
            act()
            return result

        self.cvat.make = made  # type: ignore[method-assign]

    def count_lists(self) -> list[str]:
        """Begin to note who lists CVAT's functions."""
        lists: list[str] = []
        answer = self.cvat.answer

        def noting(verb: str, path: str, token: str, body: Any, **named: Any) -> Any:
            if (verb, path) == ("GET", "/api/functions"):
                lists.append(token)
            return answer(verb, path, token, body, **named)

        self.cvat.answer = noting  # type: ignore[method-assign]
        return lists

    def pending(self, above: int, *, seconds_ago: float = 0.0, user: int = 1) -> dict[str, Any]:
        return {
            "registration": {
                "instance": "operator-0",
                **fields(user),
                "aboveID": above,
                "since": text(self.clock.now() - timedelta(seconds=seconds_ago)),
            }
        }


def fields(user: int) -> dict[str, Any]:
    """What a status says of a function named cars, by the account that made it."""
    shapes = ["mask", "polygon", "rectangle"]
    account = {"userID": user, "username": "ann" if user == 1 else "bob"}
    return {"name": "cars", "visibility": "private", "shapeTypes": shapes, **account}

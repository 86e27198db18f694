"""Lost answers, late lists, two operators, namesakes: one function, and what cannot be decided is told.

That the operator may also be killed at any of its calls is test_crashpoints.py's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sam2_operator.surplus import RECENT
from tests.controlplane.harness import Namespace, Operator
from tests.cvat_standin.client import wait_for

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.api import KubeApi
    from sam2_operator.adapters.statestore import RedisStateStore
    from tests.cvat_standin.client import CVAT

pytestmark = [pytest.mark.controlplane, pytest.mark.slow]

SETTLE_SECONDS = 61


@pytest.mark.parametrize("fault", ["drop_reply", "drop_request"])
def test_a_lost_answer_makes_no_second_function(
    annotation: CVAT, namespace: Namespace, operator: Operator, fault: str
) -> None:
    namespace.apply_tracker(annotation.url)
    getattr(annotation.faults, fault)("POST /api/functions")
    operator.reconcile(namespace.name)
    assert namespace.condition("FunctionRegistered")["reason"] in {"CVATUnreachable", "Settling"}
    operator.settle(namespace.name)
    operator.clock.advance(SETTLE_SECONDS)
    operator.settle(namespace.name)
    (function,) = annotation.functions()
    assert namespace.status()["functionID"] == function.id


def test_a_function_that_is_listed_late_is_waited_for(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    annotation.list_late()
    namespace.apply_tracker(annotation.url)
    annotation.faults.drop_reply("POST /api/functions")
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["reason"] == "Settling"
    operator.clock.advance(30)
    operator.settle(namespace.name)
    assert annotation.count("POST /api/functions") == 1
    annotation.release_lists()
    operator.settle(namespace.name)
    (function,) = annotation.functions()
    assert namespace.status()["functionID"] == function.id


def test_beyond_the_settle_time_the_extra_one_is_named_and_left_alone(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    annotation.list_late()
    namespace.apply_tracker(annotation.url)
    annotation.faults.drop_reply("POST /api/functions")
    operator.settle(namespace.name)
    operator.clock.advance(SETTLE_SECONDS)
    operator.settle(namespace.name)
    lost, served = (function.id for function in annotation.functions())
    assert namespace.status()["functionID"] == served

    annotation.release_lists()
    operator.clock.advance(RECENT.total_seconds())
    operator.settle(namespace.name)
    told = namespace.condition("FunctionRegistered")
    assert told["reason"] == "DuplicateFunctions"
    assert f"cannot be proven to be this tracker's: {lost}." in told["message"]
    assert len(annotation.functions()) == 2

    annotation.forget_function(lost)
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["reason"] == "Registered"


@pytest.mark.parametrize("wanted", [["bikes"], ["bikes", "cars"]])
def test_an_extra_one_is_named_though_something_else_is_wanted_by_then(
    annotation: CVAT, namespace: Namespace, operator: Operator, wanted: list[str]
) -> None:
    annotation.list_late()
    namespace.apply_tracker(annotation.url, function={"name": "cars"})
    annotation.faults.drop_reply("POST /api/functions")
    operator.settle(namespace.name)
    for name in wanted:
        namespace.patch("s2t", "cars", {"spec": {"function": {"name": name}}})
        operator.clock.advance(SETTLE_SECONDS)
        operator.settle(namespace.name)
    lost = min(function.id for function in annotation.functions())
    annotation.release_lists()
    operator.clock.advance(RECENT.total_seconds())
    operator.settle(namespace.name)
    told = namespace.condition("FunctionRegistered")
    assert told["reason"] == "DuplicateFunctions"
    assert f"cannot be proven to be this tracker's: {lost}." in told["message"]
    assert lost in {function.id for function in annotation.functions()}


def test_two_trackers_of_one_name_and_account_never_share_a_function(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    for name in ("cars", "bikes"):
        namespace.apply_tracker(annotation.url, name, function={"name": "SAM2"})
    annotation.faults.drop_reply("POST /api/functions")
    operator.reconcile(namespace.name, "cars")
    operator.reconcile(namespace.name, "bikes")
    for _ in range(3):
        operator.settle(namespace.name, "cars")
        operator.settle(namespace.name, "bikes")
        operator.clock.advance(SETTLE_SECONDS)
    ids = {namespace.status(name)["functionID"] for name in ("cars", "bikes")}
    assert ids == {function.id for function in annotation.functions()}
    assert len(ids) == 2


def test_a_registration_interrupted_before_the_deletion_leaves_no_orphan(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    annotation.list_late()
    annotation.faults.drop_reply("POST /api/functions")
    operator.reconcile(namespace.name)
    assert len(annotation.functions()) == 1
    namespace.delete("s2t", "cars", "--wait=false")
    operator.settle(namespace.name)
    assert "may yet show" in namespace.condition("Ready")["message"]
    annotation.release_lists()
    operator.settle(namespace.name)
    assert not namespace.exists("s2t", "cars")
    assert annotation.functions() == []


def test_two_operators_at_once_make_one_function(
    annotation: CVAT, namespace: Namespace, operator: Operator, api: KubeApi, store: RedisStateStore
) -> None:
    other = Operator.start(operator.settings, api, store)
    names = [f"cars-{number}" for number in range(5)]
    for name in names:
        namespace.apply_tracker(annotation.url, name)

    def work(one: Operator) -> None:
        for name in names:
            one.settle(namespace.name, name)

    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(work, one) for one in (operator, other)]:
            done.result()
    operator.clock.advance(SETTLE_SECONDS)
    work(operator)
    other.world.cvat.close()
    functions = {function.name: function.id for function in annotation.functions()}
    assert len(annotation.functions()) == len(names)
    assert functions == {name: namespace.status(name)["functionID"] for name in names}


def test_made_again_under_the_same_name_it_is_another_tracker(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    first = namespace.get("s2t", "cars")
    # Somebody forces the removal while no operator runs, and makes it again at once.
    namespace.patch("s2t", "cars", {"metadata": {"finalizers": None}})
    namespace.delete("s2t", "cars")
    namespace.apply_tracker(annotation.url)

    def served() -> bool:
        operator.settle(namespace.name)
        live = (
            namespace.get("statefulset", "cars-agent")
            if namespace.exists("statefulset", "cars-agent")
            else None
        )
        uid = namespace.get("s2t", "cars")["metadata"]["uid"]
        return live is not None and live["metadata"]["ownerReferences"][0]["uid"] == uid

    wait_for(served, "objects of its own")
    assert namespace.status()["functionID"] != first["status"]["functionID"]
    assert len(annotation.functions()) == 2  # the first cannot be proven to be this tracker's

"""The end of a tracker on bad days: nothing hangs for ever, and what stays behind is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane.harness import make_function
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace, Operator
    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane

DEADLINE_SECONDS = 601


def ends(operator: Operator, namespace: Namespace) -> bool:
    operator.reconcile(namespace.name)
    return not namespace.exists("s2t", "cars")


def test_cvat_away_is_waited_for_visibly_and_then_done(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    fault = annotation.faults.drop_request("DELETE /api/functions/{id}", times=None)
    namespace.delete("s2t", "cars", "--wait=false")

    def told() -> bool:
        operator.reconcile(namespace.name)
        return "cannot be deleted in CVAT" in str(namespace.condition("Ready")["message"])

    wait_for(told, "the reason")
    assert namespace.reason() == "Deleting"
    assert "is let go at" in namespace.condition("Ready")["message"]
    fault.clear()
    assert ends(operator, namespace)
    assert annotation.functions() == []


def test_after_the_deadline_it_lets_go_and_says_what_is_left(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    (function,) = annotation.functions()
    annotation.faults.drop_request("DELETE /api/functions/{id}", times=None)
    namespace.delete("s2t", "cars", "--wait=false")
    operator.settle(namespace.name)
    operator.clock.advance(DEADLINE_SECONDS)
    wait_for(lambda: ends(operator, namespace), "the end")
    events = namespace.kubectl.get("-n", namespace.name, "events", "--field-selector", "reason=LeftBehind")[
        "items"
    ]
    assert [f"Function {function.id} cannot be deleted" in event["message"] for event in events] == [True]


def test_the_secret_may_go_first(annotation: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    namespace.delete("secret", "cvat")
    namespace.delete("s2t", "cars", "--wait=false")
    wait_for(lambda: ends(operator, namespace), "the end")
    assert annotation.functions() == []


def test_the_namespace_may_go_with_all_that_is_in_it(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    acl_redis: RedisServer,
    cluster: RunningControlPlane,
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    cluster.kubectl("delete", "namespace", namespace.name, "--wait=false")

    def gone() -> bool:
        operator.reconcile(namespace.name)
        return cluster.kubectl.run("get", "namespace", namespace.name).returncode != 0

    wait_for(gone, "the namespace's end", within=60)
    assert annotation.functions() == []
    with acl_redis.client() as client:
        assert [user for user in client.acl_users() if user.startswith("s2t-")] == []


def test_what_a_terminating_namespace_leaves_is_told_on_the_namespace(
    annotation: CVAT, namespace: Namespace, operator: Operator, cluster: RunningControlPlane
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    annotation.faults.drop_request("DELETE /api/functions/{id}", times=None)
    cluster.kubectl("delete", "namespace", namespace.name, "--wait=false")
    operator.reconcile(namespace.name)
    operator.clock.advance(DEADLINE_SECONDS)
    wait_for(lambda: ends(operator, namespace), "the end", within=60)
    told = cluster.kubectl.get(
        "-n", "default", "events", "--field-selector", f"involvedObject.name={namespace.name}"
    )["items"]
    assert [(event["involvedObject"]["kind"], event["reason"]) for event in told] == [
        ("Namespace", "LeftBehind")
    ]


def test_redis_away_is_waited_for_no_longer_than_the_deadline(
    annotation: CVAT, namespace: Namespace, operator: Operator, acl_redis: RedisServer
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    acl_redis.kill()
    namespace.delete("s2t", "cars", "--wait=false")
    operator.settle(namespace.name)
    assert namespace.exists("s2t", "cars")
    operator.clock.advance(DEADLINE_SECONDS)
    wait_for(lambda: ends(operator, namespace), "the end")
    assert annotation.functions() == []


def test_an_adopted_function_is_never_deleted(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    given = make_function(annotation, "made by hand")
    namespace.apply_tracker(annotation.url, function={"id": given})
    operator.settle(namespace.name)
    assert namespace.status()["functionID"] == given
    namespace.delete("s2t", "cars", "--wait=false")
    wait_for(lambda: ends(operator, namespace), "the end")
    assert [each.id for each in annotation.functions()] == [given]


def test_a_function_is_given_to_one_tracker(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    given = make_function(annotation, "made by hand")
    for name in ("cars", "bikes"):
        namespace.apply_tracker(annotation.url, name, function={"id": given})
        operator.settle(namespace.name, name)
    assert namespace.status("cars")["functionID"] == given
    assert namespace.condition("FunctionRegistered", "bikes")["reason"] == "FunctionTaken"
    assert not namespace.exists("statefulset", "bikes-agent")
    namespace.delete("s2t", "cars", "--wait=false")
    wait_for(lambda: ends(operator, namespace), "the end")
    operator.settle(namespace.name, "bikes")
    assert namespace.status("bikes")["functionID"] == given


def test_another_tracker_s_own_function_cannot_be_taken_from_it(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    namespace.apply_tracker(annotation.url, "bikes", function={"id": namespace.status()["functionID"]})
    operator.restart()  # what it knew of others is lost
    operator.settle(namespace.name, "bikes")
    assert namespace.condition("FunctionRegistered", "bikes")["reason"] == "FunctionTaken"


def test_a_function_of_its_own_that_is_given_by_id_stays(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    (function,) = annotation.functions()
    namespace.apply_tracker(annotation.url, function={"id": function.id})
    namespace.delete("s2t", "cars", "--wait=false")
    wait_for(lambda: ends(operator, namespace), "the end")
    assert [each.id for each in annotation.functions()] == [function.id]


def test_others_that_hold_a_tracker_back_are_waited_for_by_nobody(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    finalizers = namespace.get("s2t", "cars")["metadata"]["finalizers"]
    namespace.patch("s2t", "cars", {"metadata": {"finalizers": [*finalizers, "example.com/theirs"]}})
    annotation.faults.drop_request("DELETE /api/functions/{id}", times=None)
    namespace.delete("s2t", "cars", "--wait=false")
    operator.settle(namespace.name)
    operator.clock.advance(DEADLINE_SECONDS)

    def let_go() -> bool:
        operator.reconcile(namespace.name)
        return bool(namespace.get("s2t", "cars")["metadata"]["finalizers"] == ["example.com/theirs"])

    wait_for(let_go, "the operator to be done")
    assert not operator.reconcile(namespace.name).exists
    events = namespace.kubectl.get("-n", namespace.name, "events", "--field-selector", "reason=LeftBehind")
    assert len(events["items"]) == 1


def test_a_tracker_that_never_reached_cvat_ends_at_once(
    cvat: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker("http://127.0.0.1:9")
    operator.settle(namespace.name)
    namespace.delete("s2t", "cars", "--wait=false")
    wait_for(lambda: ends(operator, namespace), "the end", within=5)

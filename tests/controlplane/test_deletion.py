"""The end of a tracker on bad days: nothing hangs for ever, and what stays behind is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane.endings import DEADLINE_SECONDS, Ending
from tests.controlplane.harness import make_function
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace, Operator
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.sampled]


@pytest.fixture
def ending(annotation: CVAT, namespace: Namespace, operator: Operator) -> Ending:
    """A tracker with a function, to be deleted."""
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    return Ending(operator, namespace, annotation)


def test_cvat_away_is_waited_for_visibly_and_then_done(ending: Ending) -> None:
    fault = ending.cvat.faults.drop_request("DELETE /api/functions/{id}", times=None)
    ending.begins()

    def told() -> bool:
        ending.over()
        return "cannot be deleted in CVAT" in str(ending.namespace.condition("Ready")["message"])

    wait_for(told, "the reason")
    assert ending.namespace.reason() == "Deleting"
    assert "is let go at" in ending.namespace.condition("Ready")["message"]
    assert ending.namespace.condition("AgentAvailable")["reason"] == "Deleting"
    fault.clear()
    ending.comes("deleted: CVAT away for a while")
    assert ending.told("LeftBehind") == []


def test_after_the_deadline_it_lets_go_and_says_what_is_left(
    ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    (function,) = ending.cvat.functions()
    ending.cvat.faults.drop_request("DELETE /api/functions/{id}", times=None)
    ending.begins()
    message = ending.lets_go("deleted: CVAT away for good", left=[function.id])
    assert f"Function {function.id} cannot be deleted in CVAT" in message
    assert message in " ".join(record.getMessage() for record in caplog.records)
    assert ending.left_behind() == 1


def test_without_its_function_it_needs_no_cvat(ending: Ending) -> None:
    ending.namespace.patch("s2t", "cars", {"spec": {"function": {"deletionPolicy": "Retain"}}})
    (function,) = ending.cvat.functions()
    ending.cvat.faults.drop_request("DELETE /api/functions/{id}", times=None)
    ending.begins()
    ending.comes("deleted: CVAT away, Retain", left=[function.id])
    assert ending.told("LeftBehind") == []


def test_the_policy_may_change_after_the_deletion_began(ending: Ending) -> None:
    (function,) = ending.cvat.functions()
    ending.cvat.faults.drop_request("DELETE /api/functions/{id}", times=None)
    ending.begins()
    assert not ending.over()
    ending.namespace.patch("s2t", "cars", {"spec": {"function": {"deletionPolicy": "Retain"}}})
    ending.comes("deleted: policy becomes Retain meanwhile", left=[function.id])
    assert ending.told("LeftBehind") == []


def test_the_secret_may_go_first(ending: Ending) -> None:
    ending.namespace.delete("secret", "cvat")
    ending.begins()
    ending.comes("deleted: Secret gone before")


def test_the_secret_may_go_and_the_operator_restart(ending: Ending) -> None:
    ending.namespace.delete("secret", "cvat")
    ending.operator.restart()
    ending.begins()
    assert not ending.over()
    assert "There is no Secret cvat" in ending.namespace.condition("Ready")["message"]
    ending.namespace.make_secret("cvat", token="token-of-ann")
    ending.comes("deleted: Secret gone, operator restarted, Secret made again")


def test_a_secret_that_never_comes_back_is_not_waited_for_for_ever(ending: Ending) -> None:
    (function,) = ending.cvat.functions()
    ending.namespace.delete("secret", "cvat")
    ending.operator.restart()
    ending.begins()
    message = ending.lets_go("deleted: Secret gone, operator restarted", left=[function.id])
    assert f"Function {function.id} cannot be deleted in CVAT: There is no Secret cvat" in message


def test_the_secret_may_be_rotated(ending: Ending) -> None:
    ending.cvat.revoke_tokens("ann")
    ending.begins()
    wait_for(lambda: ending.over() or "refuses" in ending.namespace.condition("Ready")["message"], "refusal")
    ending.namespace.make_secret("cvat", token=ending.cvat.add_token("ann"))
    ending.comes("deleted: Secret rotated meanwhile")


def test_the_account_may_be_disabled(ending: Ending) -> None:
    ending.cvat.set_active("ann", active=False)
    ending.begins()
    wait_for(lambda: ending.over() or "refuses" in ending.namespace.condition("Ready")["message"], "refusal")
    ending.cvat.set_active("ann", active=True)
    ending.comes("deleted: account disabled for a while")


def test_a_function_that_is_gone_already_is_no_obstacle(ending: Ending) -> None:
    (function,) = ending.cvat.functions()
    ending.cvat.forget_function(function.id)
    ending.begins()
    ending.comes("deleted: function gone already")
    assert ending.told("LeftBehind") == []


def test_an_ingress_that_says_404_is_not_taken_for_cvat(ending: Ending) -> None:
    fault = ending.cvat.faults.ingress("DELETE /api/functions/{id}", times=None)
    ending.begins()
    wait_for(
        lambda: ending.over() or "Something else" in ending.namespace.condition("Ready")["message"], "it"
    )
    assert len(ending.cvat.functions()) == 1
    fault.clear()
    ending.comes("deleted: an ingress says 404")


@pytest.mark.parametrize(("hidden", "words"), [(False, "does not allow"), (True, "bob did not make it")])
def test_what_another_account_is_told_says_nothing_about_the_function(
    ending: Ending, hidden: bool, words: str
) -> None:
    (function,) = ending.cvat.functions()
    ending.namespace.make_secret("cvat", token=ending.cvat.add_user("bob").token)
    if hidden:
        ending.cvat.forget_function(function.id)  # so that CVAT says 404
    ending.begins()
    wait_for(lambda: ending.over() or words in ending.namespace.condition("Ready")["message"], words)
    assert ending.namespace.exists("s2t", "cars")
    if hidden:
        ending.cvat.restore_function(function.id)
    ending.namespace.make_secret("cvat", token="token-of-ann")
    ending.comes("deleted: Secret of another account")


def test_the_namespace_may_go_with_all_that_is_in_it(
    ending: Ending, acl_redis: RedisServer, cluster: RunningControlPlane
) -> None:
    cluster.kubectl("delete", "namespace", ending.namespace.name, "--wait=false")
    ending.comes("deleted: with its namespace", within=60)
    with acl_redis.client() as client:
        assert [user for user in client.acl_users() if user.startswith("s2t-")] == []
    name = ending.namespace.name
    wait_for(lambda: cluster.kubectl.run("get", "namespace", name).returncode != 0, "its end", within=60)


def test_a_namespace_is_not_held_for_credentials_that_cannot_come_back(
    ending: Ending, cluster: RunningControlPlane
) -> None:
    (function,) = ending.cvat.functions()
    cluster.kubectl("delete", "namespace", ending.namespace.name, "--wait=false")
    wait_for(lambda: not ending.namespace.exists("secret", "cvat"), "the Secret's end", within=60)
    ending.operator.restart()
    ending.comes("deleted: with its namespace, operator restarted", left=[function.id], within=60)
    (told,) = about_namespace(cluster, ending.namespace)
    assert (told["involvedObject"]["kind"], told["reason"]) == ("Namespace", "LeftBehind")
    assert f"Function {function.id} cannot be deleted" in told["message"]


def test_what_a_terminating_namespace_leaves_is_told_on_the_namespace(
    ending: Ending, cluster: RunningControlPlane
) -> None:
    (function,) = ending.cvat.functions()
    ending.cvat.faults.drop_request("DELETE /api/functions/{id}", times=None)
    cluster.kubectl("delete", "namespace", ending.namespace.name, "--wait=false")
    wait_for(lambda: ending.over() or ending.namespace.reason() == "Deleting", "the deletion", within=60)
    ending.operator.clock.advance(DEADLINE_SECONDS)
    ending.comes("deleted: with its namespace, CVAT away", left=[function.id], within=60)
    (told,) = about_namespace(cluster, ending.namespace)
    assert (told["involvedObject"]["kind"], told["reason"]) == ("Namespace", "LeftBehind")


def about_namespace(cluster: RunningControlPlane, namespace: Namespace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.kubectl.get(
        "-n", "default", "events", "--field-selector", f"involvedObject.name={namespace.name}"
    )["items"]
    return found


def test_others_that_hold_a_tracker_back_are_waited_for_by_nobody(ending: Ending) -> None:
    namespace, operator = ending.namespace, ending.operator
    (function,) = ending.cvat.functions()
    finalizers = namespace.get("s2t", "cars")["metadata"]["finalizers"]
    namespace.patch("s2t", "cars", {"metadata": {"finalizers": [*finalizers, "example.com/theirs"]}})
    ending.cvat.faults.drop_request("DELETE /api/functions/{id}", times=None)
    ending.begins()
    operator.clock.advance(DEADLINE_SECONDS)

    def let_go() -> bool:
        operator.reconcile(namespace.name)
        return bool(namespace.get("s2t", "cars")["metadata"]["finalizers"] == ["example.com/theirs"])

    wait_for(let_go, "the operator to be done")
    assert not operator.reconcile(namespace.name).exists
    assert len(ending.told("LeftBehind")) == 1
    namespace.patch("s2t", "cars", {"metadata": {"finalizers": None}})
    ending.comes("deleted: held by another finalizer", left=[function.id])


def test_an_adopted_function_is_never_deleted(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    given = make_function(annotation, "made by hand")
    namespace.apply_tracker(annotation.url, function={"id": given})
    operator.settle(namespace.name)
    assert namespace.status()["functionID"] == given
    ending = Ending(operator, namespace, annotation)
    ending.begins()
    ending.comes("deleted: its function was given", left=[given])


def test_a_function_of_its_own_that_is_given_by_id_stays(ending: Ending) -> None:
    (function,) = ending.cvat.functions()
    ending.namespace.apply_tracker(ending.cvat.url, function={"id": function.id})
    ending.begins()
    ending.comes("deleted: its function was given", left=[function.id])


@pytest.mark.parametrize("fault", ["drop_request", "drop_reply"])
def test_a_registration_may_be_unsettled(
    annotation: CVAT, namespace: Namespace, operator: Operator, fault: str
) -> None:
    namespace.apply_tracker(annotation.url)
    getattr(annotation.faults, fault)("POST /api/functions")
    operator.reconcile(namespace.name)
    assert namespace.status()["registration"]
    ending = Ending(operator, namespace, annotation)
    ending.begins()
    operator.clock.advance(61)
    ending.comes("deleted: a registration is unsettled")
    assert ending.told("LeftBehind") == []


def test_a_tracker_that_never_reached_cvat_ends_at_once(
    cvat: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker("http://127.0.0.1:9")
    operator.settle(namespace.name)
    ending = Ending(operator, namespace, cvat)
    ending.begins()
    ending.comes("deleted: never reached CVAT", within=5)

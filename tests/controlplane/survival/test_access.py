"""Credentials that end, rights and definitions that are missing: told in a sentence, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.controlplane.surroundings import apply_crd
from tests.controlplane.survival.pod import EVERYTHING, NO_WATCH, Pod
from tests.controlplane.survival.scene import QUICK, SELDOM, until

if TYPE_CHECKING:
    from tests.controlplane.operating import OperatorProcess
    from tests.controlplane.survival.scene import Scene

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(600)]

CRD = "sam2trackers.sam2.dev"


def pod_of(scene: Scene) -> Pod:
    cluster = scene.cluster
    return Pod.prepare(scene.folder / "account", scene.namespace.name, cluster.kubectl, cluster.kubeconfig)


def told(operator: OperatorProcess) -> list[str]:
    return [line["message"] for line in operator.lines("warning")]


def wait_for_a_watch(scene: Scene) -> None:
    """Change what only a watch notices soon, and wait until it was noticed."""
    uid = scene.uid("statefulset", "cars-agent")
    scene.namespace.delete("statefulset", "cars-agent")
    until(lambda: scene.uid("statefulset", "cars-agent") not in {None, uid}, "the repair")


def test_a_token_that_ends_is_replaced_by_the_one_that_the_kubelet_wrote(scene: Scene) -> None:
    pod = pod_of(scene)
    pod.grant(scene.namespace.name, EVERYTHING)
    first = pod.renew_token()
    # Watches that are renewed often need the token often, as in hours of real life.
    settings = {**SELDOM, "AGENT_INTERVAL_SECONDS": "3", "WATCH_SILENCE_SECONDS": "4"}
    with scene.operating(settings, entry=pod.entry, environment=pod.environment) as operator:
        scene.apply()
        scene.wait_for_tracker()

        # The usual case: the new token is there before the old one ends, and nobody notices.
        second = pod.renew_token()
        pod.end_token(first)
        done = operator.reconciles()
        until(lambda: operator.reconciles() > done + 5, "reconciles after the change of tokens")
        wait_for_a_watch(scene)

        # The bad case: for a while there is none that is valid.
        pod.end_token(second)
        until(lambda: any("401" in line for line in told(operator)), "a sentence about it")
        until(lambda: operator.reconciles("error") >= 3, "a few more tries")
        assert operator.get("/livez")[0] == 200
        assert len(told(operator)) < 8, told(operator)
        failed = operator.reconciles("error")
        pod.renew_token()
        done = operator.reconciles()
        until(lambda: operator.reconciles() > done, "a reconcile with the new token")
        assert operator.reconciles("error") < failed + 5
        until(lambda: operator.get("/readyz")[0] == 200, "the watches to be back")
        wait_for_a_watch(scene)
        assert operator.lines("error") == []
        found = scene.outcomes("cars")
        scene.delete("cars")
    assert operator.process.returncode == 0
    assert scene.cvat.functions() == []
    assert situations.add("operator's token expired", found).good


def test_missing_rights_are_told_and_hide_no_other_namespace(scene: Scene) -> None:
    pod = pod_of(scene)
    pod.renew_token()
    closed = f"{scene.namespace.name}-closed"
    settings = {**QUICK, "NAMESPACES": f"{closed},{scene.namespace.name},{closed}-none"}
    scene.cluster.kubectl("create", "namespace", closed)
    try:
        with scene.operating(settings, entry=pod.entry, environment=pod.environment, ready=False) as operator:
            until(lambda: "forbidden" in operator.get("/readyz")[1], "the operator to say what it lacks")
            pod.grant(scene.namespace.name, NO_WATCH)
            scene.apply()
            scene.wait_for_tracker()
            until(lambda: "noticed late" in operator.get("/readyz")[1], "the operator to say what it lacks")
            assert operator.get("/readyz")[0] == 503
            assert "docs/operator.md" in operator.get("/readyz")[1]
            assert operator.get("/livez")[0] == 200
            assert operator.process.poll() is None
            assert operator.lines("error") == []
            found = scene.outcomes("cars")
            scene.delete("cars")
        assert operator.process.returncode == 0
    finally:
        scene.cluster.kubectl("delete", "namespace", closed, "--wait=false")
    assert situations.add("rights missing", found).good


def test_a_definition_that_is_missing_is_told_and_waited_for(scene: Scene) -> None:
    kubectl = scene.cluster.kubectl
    kubectl("delete", "crd", CRD, "--timeout=60s")
    try:
        settings = {**SELDOM, "AGENT_INTERVAL_SECONDS": "2", "NAMESPACES": ""}
        with scene.operating(settings, ready=False) as operator:
            until(lambda: "kubectl apply" in operator.get("/readyz")[1], "the operator to say what to do")
            assert len(told(operator)) <= 2, told(operator)
            apply_crd(kubectl)
            until(lambda: operator.get("/readyz")[0] == 200, "the operator to see it")
            scene.apply()
            scene.wait_for_tracker()
            assert len(scene.cvat.functions()) == 1

            # It goes while the operator runs: with it all trackers go, in order.
            kubectl("delete", "crd", CRD, "--timeout=60s")
            assert scene.cvat.functions() == []
            until(lambda: operator.get("/readyz")[0] == 503, "the operator to say that it is gone")
            assert operator.get("/livez")[0] == 200
            apply_crd(kubectl)
            scene.apply()
            scene.wait_for_tracker()
            until(lambda: operator.get("/readyz")[0] == 200, "the operator to be ready")
            wait_for_a_watch(scene)
            assert operator.lines("error") == []
            found = scene.outcomes("cars")
            scene.delete("cars")
        assert operator.process.returncode == 0
    finally:
        apply_crd(kubectl)
    assert scene.cvat.functions() == []
    assert situations.add("CRD missing, or deleted while running", found + Outcomes(converged=1)).good

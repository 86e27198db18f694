"""What goes wrong is told in conditions, in the words of whoever knows, and heals when it is put right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.controlplane.admission import forbidden, stateful_set
from tests.controlplane.harness import Namespace, Operator
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane


def test_without_credentials(cvat: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker(cvat.url)
    operator.settle(namespace.name)
    ready = namespace.condition("Ready")
    assert ready["reason"] == "CredentialsMissing"
    assert f"There is no Secret cvat in namespace {namespace.name}" in ready["message"]

    namespace.make_secret("cvat", user="ann")
    operator.settle(namespace.name)
    assert (
        "neither the key token nor the keys username and password" in namespace.condition("Ready")["message"]
    )

    ann = cvat.add_user("ann")
    namespace.make_secret("cvat", username="ann", password=ann.password)
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"


@pytest.mark.parametrize("data", [{"token": "wrong"}, {"username": "ann", "password": "wrong"}])
def test_with_wrong_credentials(
    cvat: CVAT, namespace: Namespace, operator: Operator, data: dict[str, str]
) -> None:
    ann = cvat.add_user("ann")
    namespace.make_secret("cvat", **data)
    namespace.apply_tracker(cvat.url)
    operator.settle(namespace.name)
    ready = namespace.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "CredentialsRefused")
    assert "Secret that spec.cvat.credentialsSecretRef names" in ready["message"]
    assert "wrong" not in json.dumps(namespace.status())

    namespace.make_secret("cvat", token=ann.token)
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"


@pytest.mark.parametrize("exists", [False, True])
def test_with_an_organization_that_the_account_is_not_in(
    annotation: CVAT, namespace: Namespace, operator: Operator, exists: bool
) -> None:
    annotation.add_user("bob")
    if exists:
        annotation.add_organization("lab", "bob")
    namespace.apply_tracker(annotation.url, cvat={"organization": "lab"})
    operator.settle(namespace.name)
    ready = namespace.condition("Ready")
    assert ready["reason"] == "OrganizationUnknown"
    assert "no organization 'lab' that the account belongs to" in ready["message"]

    if exists:
        annotation.set_member("lab", "ann")
    else:
        annotation.add_organization("lab", "bob", {"ann": "worker"})
    operator.settle(namespace.name)
    (function,) = annotation.functions()
    assert function.organization == "lab"


def test_with_a_cvat_that_does_not_answer(annotation: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker("http://127.0.0.1:9")
    operator.settle(namespace.name)
    ready = namespace.condition("Ready")
    assert ready["reason"] == "CVATUnreachable"
    assert "CVAT at http://127.0.0.1:9 does not answer" in ready["message"]


def test_what_kubectl_get_shows(cvat: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker(cvat.url)
    operator.settle(namespace.name)
    shown = namespace.kubectl("-n", namespace.name, "get", "s2t", "cars")
    assert shown.splitlines()[0].split() == ["NAME", "FUNCTION", "READY", "AGENT", "MODEL", "AGE"]
    wide = namespace.kubectl("-n", namespace.name, "get", "s2t", "cars", "-o", "wide")
    header, row = wide.splitlines()
    assert header.split()[6:] == ["REASON", "INTERFACE", "NODE", "RESTARTS", "MESSAGE"]
    for column, words in (
        ("REASON", "CredentialsMissing"),
        ("MESSAGE", "There is no Secret cvat in namespace"),
    ):
        assert row[header.index(column) :].startswith(words)


def test_with_something_else_than_cvat(annotation: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker(annotation.url)
    fault = annotation.faults.ingress("GET /api/users/self", times=None)
    operator.settle(namespace.name)
    assert namespace.condition("Ready")["reason"] == "NotCVAT"
    assert "check spec.cvat.url" in namespace.condition("Ready")["message"]
    fault.clear()
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"


def test_an_ingress_that_says_404_is_not_a_function_that_is_gone(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    annotation.faults.ingress("GET /api/functions/{id}", times=None)
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "Unknown"
    annotation.faults.clear()
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"
    assert annotation.count("POST /api/functions") == 1


def test_another_account_that_cannot_see_the_function_makes_no_second_one(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    annotation.forget_function(namespace.status()["functionID"])
    namespace.make_secret("cvat", token=annotation.add_user("bob").token)
    operator.settle(namespace.name)
    told = namespace.condition("FunctionRegistered")
    assert (told["status"], told["reason"]) == ("False", "OtherAccount")
    assert "registered by the account ann" in told["message"]
    assert "bob, who cannot replace it" in told["message"]
    assert annotation.functions() == []


def test_rate_limited(annotation: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker(annotation.url)
    annotation.faults.status("POST /api/functions", 429, retry_after="17", times=1)
    outcome = operator.reconcile(namespace.name)
    assert outcome.retry_seconds == 17
    assert namespace.condition("FunctionRegistered")["reason"] == "RateLimited"
    operator.settle(namespace.name)
    assert annotation.functions() == []  # it is not asked before
    operator.clock.advance(17)
    operator.settle(namespace.name)
    assert len(annotation.functions()) == 1


def test_with_a_redis_that_does_not_answer(
    annotation: CVAT, namespace: Namespace, operator: Operator, acl_redis: RedisServer
) -> None:
    namespace.apply_tracker(annotation.url)
    acl_redis.kill()
    operator.settle(namespace.name)
    ready = namespace.condition("Ready")
    assert ready["reason"] == "RedisUnreachable"
    assert "does not answer" in ready["message"]
    acl_redis.start()
    operator.settle(namespace.name)
    assert namespace.condition("StateStoreReachable")["status"] == "True"


def test_with_a_redis_of_ones_own_that_refuses(
    annotation: CVAT, namespace: Namespace, operator: Operator, acl_redis: RedisServer
) -> None:
    url = f"redis://admin:{{}}@127.0.0.1:{acl_redis.port}/0"
    namespace.apply_tracker(annotation.url, state={"secretRef": {"name": "redis"}})
    operator.settle(namespace.name)
    assert namespace.condition("StateStoreReachable")["reason"] == "StateSecretMissing"
    namespace.make_secret("redis", url=url.format("wrong"))
    operator.settle(namespace.name)
    told = namespace.condition("StateStoreReachable")
    assert told["reason"] == "RedisRefused"
    assert "wrong" not in told["message"]
    namespace.make_secret("redis", url=url.format("admin-password"))
    operator.settle(namespace.name)
    assert namespace.condition("StateStoreReachable")["status"] == "True"
    assert not namespace.exists("secret", "cars-state")


def test_a_foreign_object_of_the_same_name_is_left_alone(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.make_secret("cars-state", mine="precious")
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    told = namespace.condition("Ready")
    assert told["reason"] == "NameTaken"
    assert "Secret cars-state exists and does not belong to this tracker" in told["message"]
    assert list(namespace.get("secret", "cars-state")["data"]) == ["mine"]
    namespace.delete("secret", "cars-state")
    operator.settle(namespace.name)
    assert namespace.condition("Ready")["reason"] != "NameTaken"


def test_what_only_the_api_server_knows_to_be_impossible(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    sentence = "Ask the platform team before you run models."
    with forbidden(namespace, "statefulsets", sentence, stateful_set(namespace.name)):
        namespace.apply_tracker(annotation.url)
        operator.settle(namespace.name)
        told = namespace.condition("AgentAvailable")
        assert told["reason"] == "Refused"
        assert sentence in told["message"]
    operator.settle(namespace.name)
    assert namespace.condition("AgentAvailable")["reason"] != "Refused"


def test_a_cache_that_cannot_grow_is_made_anew_as_its_condition_says(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    def asked(size: str | None) -> None:
        cache = {"cache": {"volumeClaimTemplate": {"size": size}}} if size is not None else {}
        model = {"id": "facebook/sam2.1-hiera-tiny", "device": "cpu", **cache}
        namespace.apply_tracker(annotation.url, model=model)
        operator.settle(namespace.name)

    asked("1Gi")
    asked("2Gi")
    told = namespace.condition("AgentAvailable")
    assert told["reason"] == "Refused"
    assert "remove spec.model.cache, wait until the claim cars-cache is gone" in told["message"]
    asked(None)
    wait_for(lambda: not namespace.exists("pvc", "cars-cache"), "the end of the claim", within=30)
    asked("2Gi")
    assert namespace.condition("AgentAvailable")["reason"] != "Refused"
    assert namespace.get("pvc", "cars-cache")["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_a_foreign_pod_of_the_same_name_is_left_alone(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "cars-agent-0", "namespace": namespace.name},
            "spec": {"containers": [{"name": "agent", "image": "theirs"}]},
        }
    )
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    assert namespace.condition("AgentAvailable")["reason"] in {"PodMissing", "PodRefused"}
    assert "agent" not in namespace.status()
    namespace.delete("s2t", "cars", "--wait=false")

    def gone() -> bool:
        operator.reconcile(namespace.name)
        return not namespace.exists("s2t", "cars")

    wait_for(gone, "the end", within=10)
    assert "deletionTimestamp" not in namespace.get("pod", "cars-agent-0")["metadata"]

"""What a tracker refers to: credentials, certificates, a Redis; and what happens when they change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cvat_standin.fixtures import secure_cvat

if TYPE_CHECKING:
    from tests.controlplane.harness import Namespace, Operator
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

__all__ = ["secure_cvat"]

pytestmark = pytest.mark.controlplane

IN_A_SECRET = {"secretKeyRef": {"name": "ca", "key": "ca.crt"}}
IN_A_CONFIG_MAP = {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}


def restart_digest(namespace: Namespace) -> str:
    template = namespace.get("statefulset", "cars-agent")["spec"]["template"]
    return str(template["metadata"]["annotations"]["sam2.dev/restart"])


def make_config_map(namespace: Namespace, name: str, **data: str) -> None:
    identity = {"name": name, "namespace": namespace.name}
    namespace.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": identity, "data": data})


@pytest.mark.parametrize("bundle", [IN_A_SECRET, IN_A_CONFIG_MAP])
def test_a_cvat_with_a_certificate_of_ones_own(
    secure_cvat: CVAT, namespace: Namespace, operator: Operator, bundle: dict[str, Any]
) -> None:
    namespace.make_secret("cvat", token=secure_cvat.add_user("ann").token)
    namespace.apply_tracker(secure_cvat.url)
    operator.settle(namespace.name)
    assert namespace.reason() == "CVATUnreachable"
    assert "CERTIFICATE_VERIFY_FAILED" in namespace.condition("Ready")["message"]

    namespace.apply_tracker(secure_cvat.url, cvat={"caBundle": bundle})
    operator.settle(namespace.name)
    assert namespace.reason() == "CABundleMissing"

    make = (
        namespace.make_secret
        if bundle is IN_A_SECRET
        else lambda name, **data: make_config_map(namespace, name, **data)
    )
    make("ca", **{"ca.crt": "no certificate"})
    operator.settle(namespace.name)
    assert namespace.reason() == "CABundleInvalid"

    assert secure_cvat.ca_file is not None
    make("ca", **{"ca.crt": Path(secure_cvat.ca_file).read_text()})
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"


def test_rotated_credentials_reach_the_agent_without_a_restart(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    before = namespace.get("statefulset", "cars-agent")["metadata"]["generation"]
    annotation.revoke_tokens("ann")
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["reason"] == "CredentialsRefused"
    namespace.make_secret("cvat", token=annotation.add_token("ann"))
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"
    assert namespace.get("statefulset", "cars-agent")["metadata"]["generation"] == before
    assert annotation.count("POST /api/functions") == 1


def test_an_expired_session_is_renewed(cvat: CVAT, namespace: Namespace, operator: Operator) -> None:
    ann = cvat.add_user("ann")
    namespace.make_secret("cvat", username="ann", password=ann.password)
    namespace.apply_tracker(cvat.url)
    operator.settle(namespace.name)
    cvat.end_sessions("ann")
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"


def test_what_cvat_refuses_costs_no_login_each_time(
    cvat: CVAT, namespace: Namespace, operator: Operator
) -> None:
    ann = cvat.add_user("ann")
    namespace.make_secret("cvat", username="ann", password=ann.password)
    namespace.apply_tracker(cvat.url, cvat={"organization": "unknown"})
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["reason"] == "OrganizationUnknown"
    assert cvat.count("POST /api/auth/login") == 1


def test_another_redis_is_another_pod_and_a_missing_secret_is_not(
    annotation: CVAT, namespace: Namespace, operator: Operator, acl_redis: RedisServer
) -> None:
    url = f"redis://127.0.0.1:{acl_redis.port}"
    namespace.make_secret("redis", url=f"{url}/0")
    namespace.apply_tracker(annotation.url, state={"secretRef": {"name": "redis"}})
    operator.settle(namespace.name)
    first = restart_digest(namespace)
    namespace.delete("secret", "redis")
    operator.settle(namespace.name)
    assert restart_digest(namespace) == first
    namespace.make_secret("redis", url=f"{url}/1")
    operator.settle(namespace.name)
    assert restart_digest(namespace) != first

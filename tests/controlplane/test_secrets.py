"""Secrets stay where they belong: never in a log, an event, a status, an argument or a variable."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.controlplane.operating import OperatorProcess, operating
from tests.controlplane.surroundings import ADMIN_PASSWORD
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow]

WORDS = {
    "password of CVAT": "xyzzy-password-of-bob",
    "wrong password of CVAT": "xyzzy-wrong-password",
    "malformed token": "xyzzy-token\nof two lines",
    "password in a Redis URL": "xyzzy-redis-password",
    "token of CVAT": "token-of-ann",
    "password of Redis' administrator": ADMIN_PASSWORD,
}


def made(namespace: Namespace, cvat: CVAT, redis: RedisServer) -> dict[str, str]:
    """Trackers with good and bad secrets, and the reason that each comes to."""
    cvat.set_password("bob", WORDS["password of CVAT"])
    url = f"redis://bob:{WORDS['password in a Redis URL']}@127.0.0.1"
    namespace.make_secret("token", token=WORDS["token of CVAT"])
    namespace.make_secret("login", username="bob", password=WORDS["password of CVAT"])
    namespace.make_secret("wrong", username="bob", password=WORDS["wrong password of CVAT"])
    namespace.make_secret("lines", token=WORDS["malformed token"])
    namespace.make_secret("redis", url=f"{url}:{redis.port}/0", away=f"{url}:9/0", none=f"{url}:x/y?z")
    for name in ("token", "login", "wrong", "lines"):
        namespace.apply_tracker(cvat.url, name, cvat={"credentialsSecretRef": {"name": name}})
    for key in ("url", "away", "none"):
        state = {"secretRef": {"name": "redis", "key": key}}
        credentials = {"credentialsSecretRef": {"name": "token"}}
        namespace.apply_tracker(cvat.url, f"redis-{key}", cvat=credentials, state=state)
    return {
        "wrong": "CredentialsRefused",
        "lines": "CredentialsRefused",
        "redis-url": "RedisRefused",
        "redis-away": "RedisUnreachable",
        "redis-none": "RedisUnreachable",
    }


def told(namespace: Namespace, operator: OperatorProcess) -> dict[str, str]:
    """All that the operator wrote or shows, Secrets excepted."""
    process = Path("/proc") / str(operator.process.pid)
    kinds = "s2t,statefulsets,networkpolicies,serviceaccounts,persistentvolumeclaims,configmaps,pods,events"
    objects: list[Any] = namespace.kubectl.get("-n", namespace.name, kinds)["items"]
    return {
        "log": operator.log(),
        "metrics": operator.get("/metrics")[1],
        "arguments": (process / "cmdline").read_text(),
        "environment": (process / "environ").read_text(),
        **{f"{each['kind']} {each['metadata']['name']}": json.dumps(each) for each in objects},
    }


def test_none_of_them_is_told(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> None:
    annotation.add_user("bob")
    reasons = made(namespace, annotation, acl_redis)
    settings = {"NAMESPACES": namespace.name, "LOG_LEVEL": "debug", "DELETION_DEADLINE_SECONDS": "3"}
    with operating(cluster.kubeconfig, acl_redis, tmp_path, settings) as operator:
        for name, reason in reasons.items():
            wait_for(
                lambda name=name, reason=reason: any(  # type: ignore[misc]
                    each["reason"] == reason for each in namespace.status(name).get("conditions", [])
                ),
                f"{name} to be {reason}",
                within=120,
            )
        for name in ("token", "login"):
            wait_for(lambda name=name: namespace.exists("pod", f"{name}-agent-0"), "its pod", within=60)  # type: ignore[misc]
        everything = told(namespace, operator)
        derived = namespace.get("secret", "token-state")["data"]["url"]
        for name in reasons:
            namespace.delete("s2t", name, "--wait=false")
        wait_for(lambda: not any(namespace.exists("s2t", name) for name in reasons), "the ends", within=90)
        everything |= {"log of the ends": operator.log(), "events": json.dumps(_events(namespace))}
    words = {**WORDS, "derived password of Redis": _password(derived)}
    found = [
        f"{what} in {where}: ...{text[max(0, text.index(word) - 80) : text.index(word)]}"
        for where, text in everything.items()
        for what, word in words.items()
        if word in text or json.dumps(word)[1:-1] in text
    ]
    assert found == []
    assert "Event" in {where.split()[0] for where in everything}
    assert "StatefulSet token-agent" in everything


def _password(encoded_url: str) -> str:
    password = urlsplit(base64.b64decode(encoded_url).decode()).password
    assert password
    return password


def _events(namespace: Namespace) -> list[Any]:
    found: list[Any] = namespace.kubectl.get("-n", namespace.name, "events")["items"]
    return found

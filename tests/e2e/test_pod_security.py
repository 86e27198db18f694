"""Everything runs under the enforced restricted Pod Security Standard, and agents hold no rights."""

from __future__ import annotations

import pytest

from tests.demo.install import NAMESPACE, SYSTEM, TRACKER
from tests.demo.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_LOOK = """
import os
print("user", os.getuid())
print("token", os.path.exists("/var/run/secrets/kubernetes.io"))
for folder in ("/", "/usr/local", os.path.dirname(os.__file__), "/opt"):
    try:
        open(os.path.join(folder, "written"), "w")
        print("wrote", folder)
    except OSError as error:
        print("read-only" if error.errno in (13, 30) else error)
"""


def test_operator_redis_and_agents_run_in_restricted_namespaces(stage: Stage) -> None:
    for namespace, parts in ((SYSTEM, {"sam2-tracker-operator", "redis"}), (NAMESPACE, {"sam2-agent"})):
        labels = stage.kubectl.get("namespace", namespace)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        pods = stage.kubectl.get("--namespace", namespace, "pods")["items"]
        running = [pod["metadata"]["labels"] for pod in pods if pod["status"]["phase"] == "Running"]
        seen = {value for labels in running for value in labels.values()}
        assert parts <= seen


def test_an_agent_has_no_token_and_cannot_change_its_own_files(stage: Stage) -> None:
    agent = f"{TRACKER}-agent-0"
    said = stage.kubectl("--namespace", NAMESPACE, "exec", agent, "--", "python3", "-c", _LOOK).splitlines()
    assert said[:2] == ["user 65532", "token False"]
    assert set(said[2:]) == {"read-only"}


def test_an_agents_service_account_may_do_no_more_than_anybody(stage: Stage) -> None:
    asked = ("--namespace", NAMESPACE, "auth", "can-i", "--list", "--no-headers")
    account = f"--as=system:serviceaccount:{NAMESPACE}:{TRACKER}-agent"
    nobody = f"--as=system:serviceaccount:{NAMESPACE}:nobody"
    assert sorted(stage.kubectl(*asked, account).splitlines()) == sorted(
        stage.kubectl(*asked, nobody).splitlines()
    )

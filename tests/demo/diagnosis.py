"""What the cluster itself says, for when something does not come true."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.kubectl import Kubectl
from tests.cvat_standin.page import RunError
from tests.demo.errors import DemoError

_LINES = 25


def diagnose(kubectl: Kubectl, namespace: str, what: str | None = None) -> str:
    """Pods, the end of `kubectl describe`, and the last lines of the logs of a namespace."""
    ask = ("--namespace", namespace)
    parts = [_section("kubectl get pods", kubectl.run(*ask, "get", "pods", "-o", "wide").stdout)]
    if what:
        parts.append(_section(f"kubectl describe {what}", kubectl.run(*ask, "describe", what).stdout))
    names = kubectl.run(*ask, "get", "pods", "-o", "name").stdout.split()
    for name in names:
        if not _is_ready(kubectl, namespace, name):
            parts.append(_section(f"kubectl describe {name}", kubectl.run(*ask, "describe", name).stdout))
        for previous in ([], ["--previous"]):
            said = kubectl.run(*ask, "logs", name, "--all-containers", f"--tail={_LINES}", *previous).stdout
            parts.append(_section(" ".join(["kubectl logs", name, *previous]), said))
    return "\n".join(part for part in parts if part)


@contextmanager
def explained(kubectl: Kubectl, namespace: str, tracker: str, work: str) -> Iterator[None]:
    """Raise `DemoError` with what the cluster says where work with a tracker fails."""
    try:
        yield
    except (RunError, AssertionError, TimeoutError) as error:
        raise DemoError(
            f"{work} failed: {error}\n{diagnose(kubectl, namespace, f'sam2tracker/{tracker}')}",
            advice="the agent's log above names the cause",
        ) from error


def _is_ready(kubectl: Kubectl, namespace: str, pod: str) -> bool:
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return kubectl.run("--namespace", namespace, "get", pod, "-o", f"jsonpath={path}").stdout == "True"


def _section(title: str, text: str) -> str:
    lines = text.rstrip().splitlines()[-_LINES:]
    return "\n".join([f"--- {title}", *lines]) if lines else ""

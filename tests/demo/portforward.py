"""`kubectl port-forward` as a context: a Service of the cluster on a free port of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.kubectl import Kubectl, program
from tests.demo.errors import DemoError

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextmanager
def port_forward(kubectl: Kubectl, namespace: str, service: str, port: int) -> Iterator[str]:
    """Give a URL under which the Service answers while the context lasts."""
    command = [
        str(program()), "--namespace", namespace, "port-forward", "--address=127.0.0.1",
        f"service/{service}", f":{port}",
    ]  # fmt: skip
    with subprocess.Popen(
        command, env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield f"http://127.0.0.1:{_forwarded_port(process, service)}"
        finally:
            process.terminate()


def _forwarded_port(process: subprocess.Popen[str], service: str) -> int:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if found := _FORWARDING.search(line):
            # It writes a line for each connection: unread, they would fill the pipe and block it.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return int(found.group(1))
        said.append(line)
    raise DemoError(f"kubectl port-forward to service/{service} ended: {''.join(said).strip()}")

"""Plays the kubelet for the pods of hooks: runs what they say, as the account that they name."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.chart.helm import Manifest
from tests.cluster import places
from tests.cluster.kubectl import Kubectl

_POLL_SECONDS = 0.2


class HookPods:
    """Runs the program of every hook pod of a namespace, and reports its end to the API server.

    The program is this checkout's, as its image would have it: ``args`` after the entry point, the pod's own
    environment, and the rights of the pod's service account.
    """

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._folder = folder
        self._stop = threading.Event()
        self.output: dict[str, str] = {}
        """What each program printed, by the name of its Job."""

    @contextmanager
    def running(self) -> Iterator["HookPods"]:
        worker = threading.Thread(target=self._work)
        worker.start()
        try:
            yield self
        finally:
            self._stop.set()
            worker.join()
            for job, output in self.output.items():
                sys.stderr.write(f"{job}: {output}\n")

    def _work(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            selection = ("-l", "app.kubernetes.io/component=hook", "--field-selector", "status.phase=Pending")
            for pod in self._kubectl.get("pods", "--namespace", self._namespace, *selection)["items"]:
                self._run(pod)

    def _run(self, pod: Manifest) -> None:
        [container] = pod["spec"]["containers"]
        done = subprocess.run(
            [sys.executable, "-m", "sam2_operator", *container["args"]],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(places.REPOSITORY / "operator"),
                "KUBECONFIG": str(self._kubeconfig(pod["spec"]["serviceAccountName"])),
                **{each["name"]: each.get("value", "") for each in container["env"]},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        self.output[pod["metadata"]["labels"]["job-name"]] = done.stdout
        phase = "Failed" if done.returncode else "Succeeded"
        self._kubectl(
            *("patch", "pod", pod["metadata"]["name"], "--namespace", self._namespace),
            *("--subresource=status", "--type=merge", f'--patch={{"status":{{"phase":"{phase}"}}}}'),
        )

    def _kubeconfig(self, account: str) -> Path:
        token = self._kubectl("create", "token", account, "--namespace", self._namespace).strip()
        content = yaml.safe_load(self._kubectl.kubeconfig.read_text())
        content["users"] = [{"name": each["name"], "user": {"token": token}} for each in content["users"]]
        path = self._folder / f"{account}.kubeconfig"
        path.write_text(yaml.safe_dump(content))
        return path

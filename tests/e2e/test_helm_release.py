"""The release while an annotator works: upgrades, another agent image, an uninstall and a reinstall."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster.places import REPOSITORY
from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.demo.clips import synthetic
from tests.demo.install import NAMESPACE, RELEASE, SYSTEM, TRACKER, agent_pod, helm, install_chart, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cvat_standin.annotator import TrackedFrame
    from tests.demo.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CHART = REPOSITORY / "charts" / "sam2-tracker-operator"
IN_BETWEEN = 6
_LIBRARY = "docker.io/library/"


def next_chart(folder: Path) -> Path:
    """Copy this chart as the next version."""
    copied = folder / "chart"
    copied.mkdir()
    for path in CHART.rglob("*"):
        target = copied / path.relative_to(CHART)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(path.read_bytes())
    about = yaml.safe_load((copied / "Chart.yaml").read_text())
    (copied / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.2.0"}))
    return copied


def upgrade(stage: Stage, chart: Path, *values: str) -> None:
    """What an admin does: the same values as before, and those."""
    helm(
        stage.kubectl, "upgrade", RELEASE, str(chart), "--namespace", SYSTEM,
        "--wait", "--timeout=5m", *stage.images.chart_values(), *values,
    )  # fmt: skip


def condition(stage: Stage) -> dict[str, Any]:
    conditions = stage.kubectl.get("--namespace", NAMESPACE, "s2t", TRACKER)["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "Ready")


def operators_pod(stage: Stage) -> str:
    selector = "app.kubernetes.io/component=operator"
    [pod] = stage.kubectl.get("--namespace", SYSTEM, "pods", "-l", selector)["items"]
    return str(pod["metadata"]["uid"])


def test_an_upgrade_leaves_the_agent_alone(stage: Stage, tmp_path: Path) -> None:
    clip = replace(synthetic(12), correction=None)
    undisturbed = stage.play(clip)
    agent, operator = agent_pod(stage.kubectl)["metadata"]["uid"], operators_pod(stage)

    def upgrade_the_release(frame: TrackedFrame) -> None:
        if frame.frame == IN_BETWEEN:
            upgrade(stage, next_chart(tmp_path), "--set=operator.logLevel=debug")

    session = stage.play(clip, on_frame=upgrade_the_release)

    assert operators_pod(stage) != operator
    assert agent_pod(stage.kubectl)["metadata"]["uid"] == agent
    assert session.shapes() == undisturbed.shapes()
    wait_for(stage.kubectl, f"sam2tracker/{TRACKER}", seconds=120)


def test_another_default_image_replaces_the_agent_once_and_no_track_is_lost(stage: Stage) -> None:
    clip = replace(synthetic(12), correction=None)
    undisturbed = stage.play(clip)
    repository, tag = stage.images.reference("sam2-tracker-agent").rsplit(":", 1)
    before = agent_pod(stage.kubectl)
    other = repository.removeprefix(_LIBRARY)  # by its short name it is another image to Kubernetes
    assert other != repository, "this needs images as the local cluster names them"

    def use_the_other(frame: TrackedFrame) -> None:
        if frame.frame == IN_BETWEEN:
            upgrade(stage, CHART, f"--set-string=agent.image.repository={other}")
            assert wait_until(lambda: is_replaced(stage, before["metadata"]["uid"]), 120, every=0.2)

    session = stage.play(clip, on_frame=use_the_other)

    after = agent_pod(stage.kubectl)
    assert after["spec"]["containers"][0]["image"] == f"{other}:{tag}"
    assert session.shapes() == undisturbed.shapes()
    wait_for(stage.kubectl, f"sam2tracker/{TRACKER}", seconds=120)
    assert agent_pod(stage.kubectl)["metadata"]["uid"] == after["metadata"]["uid"], "replaced once"


def has_usual_image(stage: Stage) -> bool:
    """Whether the agent's pod is there, of the image that the chart is installed with."""
    found = stage.kubectl.run("--namespace", NAMESPACE, "get", "pod", f"{TRACKER}-agent-0", "-o", "json")
    if found.returncode:
        return False
    image = json.loads(found.stdout)["spec"]["containers"][0]["image"]
    return bool(image == stage.images.reference("sam2-tracker-agent"))


def is_replaced(stage: Stage, uid: str) -> bool:
    """Whether there is a pod, and another one."""
    found = stage.kubectl.run("--namespace", NAMESPACE, "get", "pod", f"{TRACKER}-agent-0", "-o", "json")
    if found.returncode:
        return False
    metadata = json.loads(found.stdout)["metadata"]
    return bool(metadata["uid"] != uid and "deletionTimestamp" not in metadata)


def test_an_uninstall_keeps_what_a_reinstall_goes_on_with(stage: Stage) -> None:
    """In the middle of a video: the operator, Redis and its password go and come back."""
    clip = replace(synthetic(12), correction=None)
    install_chart(stage.kubectl, stage.images)  # as it will be installed again
    assert wait_until(lambda: has_usual_image(stage), 120, every=0.2)
    wait_for(stage.kubectl, f"sam2tracker/{TRACKER}", seconds=120)
    undisturbed = stage.play(clip)
    agent = agent_pod(stage.kubectl)["metadata"]["uid"]

    def uninstall_and_install(frame: TrackedFrame) -> None:
        if frame.frame != IN_BETWEEN:
            return
        helm(stage.kubectl, "uninstall", RELEASE, "--namespace", SYSTEM, "--timeout=5m")
        assert (condition(stage)["status"], condition(stage)["reason"]) == ("Unknown", "OperatorUninstalled")
        metadata = stage.kubectl.get("--namespace", NAMESPACE, "s2t", TRACKER)["metadata"]
        assert "finalizers" not in metadata
        assert agent_pod(stage.kubectl)["metadata"]["uid"] == agent
        install_chart(stage.kubectl, stage.images)
        wait_for(stage.kubectl, f"sam2tracker/{TRACKER}", seconds=180)

    session = stage.play(clip, on_frame=uninstall_and_install)

    assert session.shapes() == undisturbed.shapes()
    assert agent_pod(stage.kubectl)["metadata"]["uid"] == agent
    assert [each.id for each in stage.cvat.functions()] == [stage.function_id]
    longest = max(session.answers, key=lambda each: each.milliseconds)
    say(f"   uninstalled and installed again: frame {longest.frame} took {longest.milliseconds / 1000:.1f} s")

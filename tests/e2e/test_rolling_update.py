"""A rolling update in the middle of a video: the annotator notices one short pause."""

from __future__ import annotations

import json

import pytest

from tests.cluster.progress import say
from tests.cluster.waiting import wait_until
from tests.cvat_standin.annotator import TrackedFrame
from tests.demo.install import NAMESPACE, TRACKER, agent_pod
from tests.demo.session import Session
from tests.demo.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

UPDATE_AT = 8


def is_being_replaced(stage: Stage, uid: str) -> bool:
    """Whether the kubelet was told to stop that pod."""
    found = stage.kubectl.run("--namespace", NAMESPACE, "get", "pod", f"{TRACKER}-agent-0", "-o", "json")
    if found.returncode:
        return True
    metadata = json.loads(found.stdout)["metadata"]
    return bool(metadata["uid"] != uid or "deletionTimestamp" in metadata)


def test_a_new_agent_goes_on_where_the_old_one_was_told_to_stop(stage: Stage, undisturbed: Session) -> None:
    before = agent_pod(stage.kubectl)["metadata"]["uid"]

    def change_the_template(frame: TrackedFrame) -> None:
        if frame.frame == UPDATE_AT:
            patch = {"spec": {"agent": {"podAnnotations": {"example.com/revision": before}}}}
            stage.kubectl(
                "--namespace", NAMESPACE, "patch", "s2t", TRACKER, "--type=merge", "-p", json.dumps(patch)
            )
            assert wait_until(lambda: is_being_replaced(stage, before), 60, every=0.1)

    session = stage.play(undisturbed.clip, on_frame=change_the_template)

    assert session.shapes() == undisturbed.shapes()
    assert agent_pod(stage.kubectl)["metadata"]["uid"] != before
    asked_again = [request for request in stage.cvat.requests(stage.function_id) if request.handed_out > 1]
    assert not asked_again
    longest = max(session.answers, key=lambda frame: frame.milliseconds)
    say(f"   rolling update: frame {longest.frame} took {longest.milliseconds / 1000:.1f} s")

"""A small world: one user, one task, one function."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.cvat_standin.client import CVAT, Account
from tests.cvat_standin.fixtures import cvat, secure_cvat
from tests.integration.cvat_standin.caller import Agent, Asking, Caller
from tests.integration.cvat_standin.scene import red_mask, video

__all__ = ["cvat", "secure_cvat"]


@dataclass(frozen=True, slots=True)
class World:
    """Ann, her task of six frames and her tracking function."""

    cvat: CVAT
    ann: Account
    call: Caller
    task: int
    function: int

    def agent(self, agent_id: str = "agent_1") -> Agent:
        return Agent(self.call, self.function, agent_id)

    def begin(self, frame: int = 0) -> Asking:
        """Ask to track the red square, and return once the request is in the queue."""
        known = len(self.cvat.requests())
        asking = Asking(
            self.call,
            self.function,
            {
                "type": "init_tracking",
                "task": self.task,
                "frame": frame,
                "shapes": [red_mask(frame).to_json()],
            },
        )
        self.cvat.wait_for_request(self.function, "queued")
        assert len(self.cvat.requests()) == known + 1
        return asking

    def follow(self, states: list[str], frame: int = 1) -> Asking:
        """Ask to go on, and return once the request is in the queue."""
        asking = Asking(
            self.call, self.function, {"type": "track", "task": self.task, "frame": frame, "states": states}
        )
        self.cvat.wait_for_request(self.function, "queued")
        return asking


@pytest.fixture
def world(cvat: CVAT) -> World:
    ann = cvat.add_user("ann")
    call = Caller(cvat.url, ann.token)
    return World(cvat, ann, call, cvat.add_task(video(6), "ann"), call.create_function())

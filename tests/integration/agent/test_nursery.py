"""An agent that was forked is the agent that people start, only sooner."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.agent.conftest import World
from tests.nursery import THREADS, Nursery, threads_of


def test_a_forked_agent_answers_like_one_started_from_the_command_line(world: World) -> None:
    plain, forked = world.new_agent(plain=True), world.new_agent()
    plain.start()
    plain.wait_ready()
    expected = world.track(stop=6)
    plain.signal(signal.SIGTERM)
    assert plain.wait_exit() == 0
    forked.start()
    forked.wait_ready()
    assert world.track(stop=6) == expected
    forked.signal(signal.SIGTERM)
    assert forked.wait_exit() == 0


def test_how_a_forked_agent_ended_is_told(world: World) -> None:
    agent = world.new_agent()
    agent.start()
    agent.signal(signal.SIGKILL)
    assert agent.wait_exit() == -signal.SIGKILL


def test_agents_do_not_outlive_their_nursery(world: World, tmp_path: Path) -> None:
    of_its_own = Nursery(threads_of(os.environ))
    child = of_its_own.spawn(world.new_agent().environment, tmp_path / "log")
    child.send_signal(signal.SIGSTOP)
    of_its_own.close()
    assert child.ended(20)


def test_threads_that_a_nursery_does_not_have_are_refused(tmp_path: Path) -> None:
    with closing(Nursery({})) as without, pytest.raises(ValueError, match=THREADS[0]):
        without.spawn({**os.environ, THREADS[0]: "77"}, tmp_path / "log")

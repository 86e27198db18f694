"""CVAT, or something in front of it, refuses the agent: it says so, waits and goes on.

Time is hurried: minutes of the agent's pass in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest

from sam2_agent.core.patience import Patience
from tests.cvat_standin.client import CVAT
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import (
    ACQUIRE,
    COMPLETE,
    FRAME,
    PATIENT,
    WATCH,
    HurriedClock,
    ask_to_begin,
    at,
    judged,
    keys,
    meanwhile,
    some,
    status_of,
    undisturbed,
)
from tests.integration.agent.in_process import InProcessAgent

SPEED = 60.0
HURRIED = Patience(lease=600.0, poll=10.0, request=120.0)
"""As an agent has it, but for a lease that lives on while this process is too slow for its own clock."""

PERSISTENT = Patience(lease=600.0, poll=10.0, request=6000.0)
"""One whose annotators wait longer than any of these tests."""

CALLS_A_MINUTE = 40
"""What an agent may ask CVAT while it is refused; one that spins asks hundreds of times in these tests."""


def hurried(world: World, patience: Patience = HURRIED) -> InProcessAgent:
    return world.new_toy(clock=HurriedClock(SPEED), patience=patience).start().wait_ready()


def calls_in_a_minute(world: World, agent: InProcessAgent) -> int:
    """How often the agent calls CVAT in a minute of its own time."""
    before, until = len(world.cvat.log()), agent.clock.now() + 60
    agent.wait_for(lambda: agent.clock.now() > until)
    return len(world.cvat.log()) - before


@dataclass(frozen=True)
class Trouble:
    """How CVAT refuses the agent, what the status says of it, and how it is over."""

    begin: Callable[[World], object]
    reason: str
    words: str
    end: Callable[[World], object] = lambda world: world.cvat.faults.clear()


def everywhere(spoil: Callable[[CVAT, str], object]) -> Callable[[World], object]:
    """Spoil what the agent asks of itself: acquire, and the event stream."""

    def begin(world: World) -> None:
        for route in (ACQUIRE, WATCH):
            spoil(world.cvat, route)
        world.cvat.cut_streams(world.function)

    return begin


def revoke_tokens(world: World) -> None:
    world.cvat.revoke_tokens("robot")
    world.cvat.cut_streams(world.function)


def deactivate(world: World) -> None:
    world.cvat.set_active("robot", active=False)
    world.cvat.cut_streams(world.function)


def renew_token(world: World) -> None:
    (world.credentials / "token").write_text(world.cvat.add_token("robot"))


TROUBLES = {
    "function deleted": Trouble(
        lambda world: world.cvat.forget_function(world.function),
        "FunctionNotFound",
        "CVAT has no function",
        lambda world: world.cvat.restore_function(world.function),
    ),
    "access lost": Trouble(
        everywhere(lambda cvat, route: cvat.faults.status(route, 403, times=None)),
        "AccessDenied",
        "may not serve function",
    ),
    "credentials revoked": Trouble(
        revoke_tokens,
        "CredentialsRefused",
        "put a valid one into the Secret",
        renew_token,
    ),
    "429 with Retry-After": Trouble(
        everywhere(lambda cvat, route: cvat.faults.status(route, 429, retry_after="30", times=None)),
        "CVATUnreachable",
        "HTTP status 429; it asks to wait 30 s",
    ),
    "an ingress' page": Trouble(
        everywhere(lambda cvat, route: cvat.faults.ingress(route, 404, times=None)),
        "CVATUnreachable",
        "HTTP status 404, and not from CVAT itself",
    ),
    "account deactivated": Trouble(
        deactivate,
        "CredentialsRefused",
        "put a valid one into the Secret",
        lambda world: world.cvat.set_active("robot", active=True),
    ),
    "503": Trouble(
        everywhere(lambda cvat, route: cvat.faults.status(route, 503, times=None)),
        "CVATUnreachable",
        "HTTP status 503",
    ),
    "redirect": Trouble(
        everywhere(
            lambda cvat, route: cvat.faults.redirect(route, "https://sso.example.com/in?rd=1", times=None)
        ),
        "CVATUnreachable",
        "it redirects to https://sso.example.com/in; use that address",
    ),
}


@pytest.mark.parametrize("kind", some(list(TROUBLES), 5))
def test_an_agent_that_is_refused_says_so_does_not_spin_and_goes_on(world: World, kind: str) -> None:
    expected = undisturbed(world, stop=3)
    trouble = TROUBLES[kind]
    agent = hurried(world)
    trouble.begin(world)
    agent.wait_for(lambda: agent.status.report().reason == trouble.reason)
    assert trouble.words in agent.status.report().message
    assert 1 <= calls_in_a_minute(world, agent) <= CALLS_A_MINUTE
    assert agent.status.alive()
    trouble.end(world)
    assert judged(f"CVAT refuses: {kind}", world, expected, world.track(stop=3))
    agent.wait_for(lambda: agent.status.report().ready)


def test_a_stream_that_lives_on_does_not_hide_that_requests_are_refused(world: World) -> None:
    """CVAT may look at an account's rights when a stream begins, and never again."""
    world.cvat.set_streams(keep_alive_seconds=0.05)
    agent = hurried(world)
    refused = world.cvat.faults.status(ACQUIRE, 403, times=None)
    agent.wait_for(lambda: agent.status.report().reason == "AccessDenied")
    seen: set[tuple[bool, str]] = set()
    until = agent.clock.now() + 120

    def watched() -> bool:
        report = agent.status.report()
        seen.add((report.ready, report.reason))
        return agent.clock.now() > until

    agent.wait_for(watched)
    assert not any(ready for ready, _ in seen), seen
    refused.clear()
    agent.wait_for(lambda: agent.status.report().ready)


def test_what_cvat_asks_to_wait_is_waited_by_each_part_of_the_agent(world: World) -> None:
    agent = hurried(world)
    for route in (ACQUIRE, WATCH):
        world.cvat.faults.status(route, 429, retry_after="30", times=None)
    world.cvat.cut_streams(world.function)
    agent.wait_for(lambda: agent.metric("unavailable_total", reason="CVATUnreachable") > 6)
    for route in (ACQUIRE, WATCH):
        refused = [entry.time for entry in world.cvat.log(route) if entry.status == 429]
        pauses = [(later - sooner).total_seconds() for sooner, later in pairwise(refused)]
        assert pauses
        assert min(pauses) > 0.95 * 30 / SPEED


def test_credentials_revoked_and_restored_in_the_middle_of_a_track(world: World) -> None:
    expected = undisturbed(world, stop=5)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()

    def renew() -> None:
        agent.wait_for(lambda: agent.metric("unavailable_total", reason="CredentialsRefused") > 1)
        renew_token(world)

    with meanwhile(renew):
        got = world.track(at(2, lambda: world.cvat.revoke_tokens("robot")), stop=5)
    assert judged("CVAT refuses: credentials revoked", world, expected, got)


def test_a_password_session_that_ended_is_begun_again(world: World) -> None:
    expected = undisturbed(world, stop=4)
    (world.credentials / "token").unlink()
    (world.credentials / "username").write_text("robot")
    (world.credentials / "password").write_text(world.robot.password)
    world.new_toy(patience=PATIENT).start().wait_ready()
    got = world.track(at(2, lambda: world.cvat.end_sessions("robot")), stop=4)
    assert judged("CVAT refuses: session ended", world, expected, got)


def test_refused_credentials_are_a_reason_not_a_crash(world: World) -> None:
    world.cvat.revoke_tokens("robot")
    agent = world.new_toy().start()
    agent.wait_for(lambda: agent.status.report().reason == "CredentialsRefused")
    assert "Secret" in agent.status.report().message


def complete_of(request_id: str, world: World) -> str:
    return f"POST /api/functions/queues/function:{world.function}/requests/{request_id}/complete"


@pytest.mark.parametrize("status", some([403, 400], 1))
def test_an_answer_that_a_proxy_refuses_does_not_hold_up_others(world: World, status: int) -> None:
    expected = undisturbed(world, stop=4)
    stuck = ask_to_begin(world)
    refused = world.cvat.faults.ingress(complete_of(stuck.id, world), status, times=None)
    agent = hurried(world)
    agent.wait_for(lambda: refused.taken() > 0)
    assert judged("a proxy refuses one answer", world, expected, world.track(stop=4))
    world.cvat.wait_for_request(world.function, "finished")
    agent.wait_for(lambda: status_of(world, stuck) == "failed")
    sentence = world.cvat.request(stuck.key).exc_info
    assert sentence == "A proxy in front of CVAT refuses the tracking agent's answer; tell an administrator."
    agent.wait_for(lambda: not keys(world, "requests"))
    refused.clear()
    assert world.begin()


def test_an_answer_that_waits_for_a_proxy_is_given_when_that_lets_it_pass(world: World) -> None:
    stuck = ask_to_begin(world)
    refused = world.cvat.faults.ingress(complete_of(stuck.id, world), 403, times=None)
    agent = hurried(world, PERSISTENT)
    agent.wait_for(lambda: refused.taken() > 3)
    assert world.begin()  # another's request meanwhile
    assert status_of(world, stuck) == "started"
    refused.clear()
    agent.wait_for(lambda: status_of(world, stuck) == "finished")


def test_an_answer_waits_for_cvat_as_long_as_it_takes(world: World) -> None:
    stuck = ask_to_begin(world)
    away = world.cvat.faults.status(complete_of(stuck.id, world), 503, times=None)
    agent = hurried(world)
    agent.wait_for(lambda: away.taken() > 0)
    late = agent.clock.now() + HURRIED.request
    agent.wait_for(lambda: agent.clock.now() > late)
    tries = away.taken()
    agent.wait_for(lambda: away.taken() > tries + 1)
    away.clear()
    agent.wait_for(lambda: status_of(world, stuck) == "finished")


def test_a_frame_that_cvat_cannot_serve_does_not_hold_up_others(world: World) -> None:
    expected = undisturbed(world, stop=4)
    broken = world.cvat.faults.status(FRAME, 500, times=None, query={"number": "9"})
    stuck = ask_to_begin(world, frame=9)
    agent = hurried(world)
    agent.wait_for(lambda: broken.taken() > 0)
    assert judged("CVAT cannot serve one frame", world, expected, world.track(stop=4))
    agent.wait_for(lambda: status_of(world, stuck) == "failed")
    assert world.cvat.request(stuck.key).exc_info == (
        "CVAT does not serve this frame to the tracking agent now; run the action again later."
    )


def test_a_stuck_request_that_cvat_hands_out_again_and_again_makes_no_spin(world: World) -> None:
    world.cvat.set_redelivery(to_same_agent=True)
    stuck = ask_to_begin(world)
    refused = world.cvat.faults.ingress(complete_of(stuck.id, world), 403, times=None)
    agent = hurried(world, PERSISTENT)
    agent.wait_for(lambda: refused.taken() > 3)
    assert calls_in_a_minute(world, agent) <= 2 * CALLS_A_MINUTE  # each try is an acquire and a complete
    refused.clear()
    agent.wait_for(lambda: status_of(world, stuck) == "finished")


def test_a_rate_limit_on_one_answer_is_kept_to(world: World) -> None:
    stuck = ask_to_begin(world)
    limited = world.cvat.faults.status(complete_of(stuck.id, world), 429, retry_after="30", times=2)
    agent = hurried(world)
    agent.wait_for(lambda: status_of(world, stuck) == "finished")
    assert limited.taken() == 2
    told = [entry.time for entry in world.cvat.log(COMPLETE)]
    assert min((later - sooner).total_seconds() for sooner, later in pairwise(told)) > 0.95 * 30 / SPEED

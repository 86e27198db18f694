"""Ready means that requests are answered; otherwise the reason nearest to the cause is told."""

from __future__ import annotations

import pytest

from sam2_agent.core.lease import Lease
from sam2_agent.core.status import FRESH_SECONDS, STUCK_SECONDS, Report, Status
from sam2_agent.errors import CVATUnavailable, StoreUnavailable


class Clock:
    """Time that a test moves."""

    time = 100.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


def serving() -> tuple[Status, Clock]:
    clock = Clock()
    status = Status("1.0", clock, phase="Serving", fingerprint="f", lease=Lease("t", 4, 1000.0))
    status.answered("CVAT")
    status.answered("Redis")
    return status, clock


def test_a_serving_agent_is_ready() -> None:
    status, clock = serving()
    clock.time += 2
    report = status.report()
    assert (report.ready, report.reason, report.leaseHeld, report.leaseEpoch) == (True, "Serving", True, 4)
    assert (report.cvatAnsweredSecondsAgo, report.redisAnsweredSecondsAgo) == (2.0, 2.0)


@pytest.mark.parametrize("peer", ["CVAT", "Redis"])
def test_silence_ends_readiness(peer: str) -> None:
    status, clock = serving()
    clock.time += FRESH_SECONDS + 1
    status.answered("CVAT" if peer == "Redis" else "Redis")
    report = status.report()
    assert (report.ready, report.reason) == (False, f"{peer}Unreachable")


def test_trouble_is_told_in_its_own_words_until_it_is_over() -> None:
    status, clock = serving()
    clock.time += FRESH_SECONDS + 1
    status.answered("Redis")
    status.trouble("CVAT", CVATUnavailable("The token is bad.", reason="CredentialsRefused"))
    report = status.report()
    assert (report.reason, report.message) == ("CredentialsRefused", "The token is bad.")
    status.answered("CVAT")
    assert status.report().reason == "Serving"


def test_redis_trouble_goes_before_the_lease_that_it_costs() -> None:
    status, clock = serving()
    clock.time = 1001.0
    status.answered("CVAT")
    assert status.report().reason == "WaitingForLease"
    status.trouble("Redis", StoreUnavailable("Redis is away.", reason="RedisUnreachable"))
    assert status.report().reason == "RedisUnreachable"


def test_what_redis_refuses_is_told_although_the_lease_is_renewed() -> None:
    status, clock = serving()
    full = StoreUnavailable("Redis is full.", reason="RedisRefused")
    status.trouble("Redis", full)
    status.answered("Redis")
    report = status.report()
    assert (report.ready, report.reason, report.message) == (False, "RedisRefused", "Redis is full.")
    status.served()
    assert status.report().ready
    status.trouble("Redis", full)
    clock.time += FRESH_SECONDS + 1
    status.answered("Redis")
    status.answered("CVAT")
    assert status.report().ready, "nobody met the refusal for a while"


def test_requests_that_cannot_be_taken_are_told_although_cvat_answers_otherwise() -> None:
    status, clock = serving()
    denied = CVATUnavailable("Not yours.", reason="AccessDenied")
    for _ in range(2):
        assert status.report().ready, "once is no lasting trouble"
        status.hindered(denied)
        clock.time += FRESH_SECONDS / 2 + 1
        status.answered("CVAT")
        status.answered("Redis")
    report = status.report()
    assert (report.ready, report.reason, report.message) == (False, "AccessDenied", "Not yours.")
    status.unhindered()
    assert status.report().ready


@pytest.mark.parametrize("phase", ["Starting", "LoadingModel", "Draining"])
def test_before_and_after_serving_the_phase_is_the_reason(phase: str) -> None:
    status, _ = serving()
    status.phase = phase  # type: ignore[assignment]
    report = status.report()
    assert (report.ready, report.reason, report.phase) == (False, phase, phase)


def test_an_expired_lease_ends_readiness_at_once() -> None:
    status, clock = serving()
    status.lease = Lease("t", 4, clock.time)
    report = status.report()
    assert (report.ready, report.leaseHeld, report.reason) == (False, False, "WaitingForLease")


def test_a_loop_that_stands_still_is_dead() -> None:
    status, clock = serving()
    clock.time += 10 * STUCK_SECONDS
    assert status.alive(), "loading a model may take long"
    status.moved()
    clock.time += STUCK_SECONDS - 1
    assert status.alive()
    clock.time += 2
    assert not status.alive()


def test_the_report_is_what_the_operator_reads() -> None:
    status, _ = serving()
    fields = "version phase ready reason message leaseHeld leaseEpoch cvatAnsweredSecondsAgo"
    assert set(Report.model_fields) == {*fields.split(), "redisAnsweredSecondsAgo", "modelFingerprint"}
    assert Report.model_validate_json(status.report().model_dump_json()).ready

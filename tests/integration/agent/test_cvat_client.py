"""How the agent's calls to CVAT end, against the stand-in."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from sam2_agent.adapters.cvat_client import CONNECT_SECONDS, READ_SECONDS, CVATClient
from sam2_agent.adapters.cvat_queue import CVATQueue
from sam2_agent.adapters.cvat_replies import MAX_RETRY_AFTER
from sam2_agent.core.status import STUCK_SECONDS
from sam2_agent.errors import AnswerRefused, CVATShielded, CVATUnavailable, NotOurs
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.waiting import wait_for
from tests.integration.cvat_standin.caller import Caller

ACQUIRE = "POST /api/functions/queues/{id}/requests/acquire"
WATCH = "GET /api/functions/queues/{id}/watch"
COMPLETE = "POST /api/functions/queues/{id}/requests/{request_id}/complete"


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def client(cvat: CVAT, credentials: Path) -> CVATClient:
    (credentials / "token").write_text(cvat.add_user("robot").token)
    return connected(cvat.url, credentials)


def connected(
    url: str, credentials: Path, organization: str = "", silence: float = READ_SECONDS
) -> CVATClient:
    return CVATClient(
        url,
        credentials_dir=credentials,
        organization=organization,
        ca_file=None,
        on_answer=lambda: None,
        silence=silence,
    )


@pytest.fixture
def queue(cvat: CVAT, client: CVATClient) -> CVATQueue:
    return CVATQueue(client, Caller(cvat.url, "token-of-robot").create_function(), "s2t_test")


async def test_an_empty_queue(queue: CVATQueue) -> None:
    assert await queue.acquire("interactive") is None


@pytest.mark.parametrize(
    ("spoil", "reason", "words"),
    [
        (lambda cvat: cvat.faults.status(ACQUIRE, 503), "CVATUnreachable", "HTTP status 503"),
        (lambda cvat: cvat.faults.status(ACQUIRE, 429, retry_after="7"), "CVATUnreachable", "429"),
        (lambda cvat: cvat.faults.ingress(ACQUIRE), "CVATUnreachable", "not from CVAT itself"),
        (lambda cvat: cvat.faults.drop_reply(ACQUIRE), "CVATUnreachable", "does not answer"),
        (lambda cvat: cvat.faults.status(ACQUIRE, 403), "AccessDenied", "may not serve function"),
        (lambda cvat: cvat.faults.status(ACQUIRE, 404), "FunctionNotFound", "has no function"),
        (lambda cvat: cvat.revoke_tokens("robot"), "CredentialsRefused", "does not accept the agent's token"),
    ],
)
async def test_trouble_has_a_reason(
    cvat: CVAT, queue: CVATQueue, spoil: Callable[[CVAT], object], reason: str, words: str
) -> None:
    spoil(cvat)
    with pytest.raises(CVATUnavailable, match=words) as trouble:
        await queue.acquire("interactive")
    assert trouble.value.reason == reason
    assert "token-of-robot" not in str(trouble.value)


@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7), ("86400", MAX_RETRY_AFTER), ("soon", None), ("-1", None)]
)
async def test_retry_after_is_kept_to_within_bounds(
    cvat: CVAT, queue: CVATQueue, asked: str, waited: float | None
) -> None:
    cvat.faults.status(ACQUIRE, 429, retry_after=asked)
    with pytest.raises(CVATUnavailable) as trouble:
        await queue.acquire("interactive")
    assert trouble.value.retry_after == waited


async def test_a_redirect_is_told_without_what_a_login_page_adds(cvat: CVAT, queue: CVATQueue) -> None:
    cvat.faults.redirect(ACQUIRE, "https://sso.example.com/login?state=secret#more")
    with pytest.raises(CVATUnavailable) as trouble:
        await queue.acquire("interactive")
    assert "it redirects to https://sso.example.com/login; use that address" in str(trouble.value)


async def test_a_refused_token_is_not_sent_again_at_once(cvat: CVAT, queue: CVATQueue) -> None:
    cvat.revoke_tokens("robot")
    with pytest.raises(CVATUnavailable):
        await queue.acquire("interactive")
    assert cvat.count(ACQUIRE) == 1


async def test_a_stream_that_opens_when_nobody_waits_for_it_any_more_is_closed(
    cvat: CVAT, client: CVATClient
) -> None:
    function = Caller(cvat.url, "token-of-robot").create_function()
    cvat.faults.stall(WATCH)
    watching = asyncio.ensure_future(CVATQueue(client, function, "s2t_test").watch(lambda _: None))
    await asyncio.to_thread(cvat.wait_for_calls, WATCH)
    watching.cancel()
    await asyncio.wait({watching})
    cvat.faults.release()

    def ended() -> bool:
        (call,) = cvat.log(WATCH)
        return call.milliseconds is not None

    await asyncio.to_thread(wait_for, ended, "the end of the stream")


@pytest.mark.parametrize("status", [403, 404, 409, 410])
async def test_a_request_that_is_no_longer_ours(cvat: CVAT, queue: CVATQueue, status: int) -> None:
    cvat.faults.status(COMPLETE, status)
    with pytest.raises(NotOurs):
        await queue.complete("request", {"states": ["x"]})


async def test_a_403_to_an_account_without_rights_is_not_the_requests_end(
    cvat: CVAT, queue: CVATQueue
) -> None:
    cvat.faults.status(COMPLETE, 403)
    cvat.faults.status("GET /api/functions/{id}", 403)
    with pytest.raises(CVATUnavailable) as trouble:
        await queue.complete("request", {"states": ["x"]})
    assert trouble.value.reason == "AccessDenied"


async def test_an_answer_that_cvat_finds_fault_with(cvat: CVAT, queue: CVATQueue) -> None:
    cvat.faults.status(COMPLETE, 400, detail="states: too long")
    with pytest.raises(AnswerRefused, match="too long"):
        await queue.complete("request", {"states": ["x"]})


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_proxys_page_is_not_cvats_word_on_an_answer(
    cvat: CVAT, queue: CVATQueue, status: int
) -> None:
    cvat.faults.ingress(COMPLETE, status=status)
    with pytest.raises(CVATShielded, match=f"HTTP status {status}, and not from CVAT itself"):
        await queue.complete("request", {"states": ["x"]})


async def test_an_answer_that_is_too_large_for_an_ingress(cvat: CVAT, queue: CVATQueue) -> None:
    cvat.faults.ingress(COMPLETE, status=413)
    with pytest.raises(AnswerRefused, match="413"):
        await queue.complete("request", {"states": ["x"]})


def test_a_wait_that_cvat_asks_for_does_not_make_the_agent_look_dead() -> None:
    assert MAX_RETRY_AFTER + 4 * (CONNECT_SECONDS + READ_SECONDS) < STUCK_SECONDS


def test_an_unreachable_cvat(credentials: Path) -> None:
    (credentials / "token").write_text("secret")
    with pytest.raises(CVATUnavailable, match=r"127.0.0.1:1 does not answer"):
        connected("http://127.0.0.1:1", credentials).get("/api/users/self")


def test_changed_credentials_are_used_at_once(cvat: CVAT, client: CVATClient, credentials: Path) -> None:
    assert client.username() == "robot"
    (credentials / "token").write_text(cvat.add_user("other").token)
    client.get("/api/users/self")
    assert client.username() == "other"


def test_passwords_work_and_wrong_ones_are_told(cvat: CVAT, credentials: Path) -> None:
    user = cvat.add_user("ann")
    (credentials / "username").write_text("ann")
    (credentials / "password").write_text(user.password + "\n")
    client = connected(cvat.url, credentials)
    assert client.username() == "ann"
    cvat.set_password("ann", "another")
    with pytest.raises(CVATUnavailable, match="password of ann") as trouble:
        client.get("/api/users/self")
    assert trouble.value.reason == "CredentialsRefused"
    assert user.password not in str(trouble.value)


def test_no_credentials_at_all(cvat: CVAT, tmp_path: Path) -> None:
    with pytest.raises(CVATUnavailable, match="holds no credentials"):
        connected(cvat.url, tmp_path / "empty").get("/api/users/self")


@pytest.mark.parametrize("token", ["secret\nsecond line", "secret with blanks", "secret\u2026"])
async def test_a_token_that_is_none_is_told_and_not_shown(cvat: CVAT, tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token, encoding="utf-8")
    with pytest.raises(CVATUnavailable, match="holds no access token") as trouble:
        await CVATQueue(connected(cvat.url, tmp_path), 1, "s2t_test").acquire("interactive")
    assert trouble.value.reason == "CredentialsRefused"
    assert "secret" not in "".join(traceback.format_exception(trouble.value))


def test_the_organization_travels_along(cvat: CVAT, client: CVATClient, credentials: Path) -> None:
    cvat.add_organization("lab", "robot")
    client.get("/api/users/self")
    connected(cvat.url, credentials, "lab").get("/api/users/self")
    assert [entry.organization for entry in cvat.log("GET /api/users/self")] == [None, "lab"]

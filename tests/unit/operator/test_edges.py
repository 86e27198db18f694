"""What the edges make of answers and settings, where no server is needed."""

from __future__ import annotations

import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from sam2_operator import errors
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.cvat.answers import Answer, refusal
from sam2_operator.adapters.cvat.sdk import SdkCvat
from sam2_operator.adapters.statestore import Administrator, RedisStateStore
from sam2_operator.api import crd, reference
from sam2_operator.core.observed import CvatAccess, StateAccess, TokenCredentials
from sam2_operator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).parents[3]


def answer(
    status: int, body: object, *, json_type: bool = True, headers: Mapping[str, str] | None = None
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, "application/json" if json_type else "text/html", data, headers or {})


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (answer(401, {"detail": "Invalid token."}), errors.CredentialsRefusedError),
        (answer(403, {"detail": "No."}), errors.ForbiddenError),
        (answer(404, {"detail": "Not found."}), errors.NotFoundError),
        (answer(400, {"name": ["Too long."]}), errors.RefusedError),
        (answer(404, b"<html>404</html>", json_type=False), errors.ForeignAnswerError),
        (answer(401, b"<html>log in</html>", json_type=False), errors.ForeignAnswerError),
        (answer(502, b"<html>bad gateway</html>", json_type=False), errors.CvatUnreachableError),
        (answer(500, {"detail": "Oops."}), errors.CvatUnreachableError),
    ],
)
def test_an_error_page_is_never_taken_for_cvats_word(given: Answer, kind: type[errors.CvatError]) -> None:
    error = refusal("https://cvat.example", "GET", "/api/functions/7", given)
    assert type(error) is kind
    assert "<html>" not in str(error)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("0", 1), ("9999", 300), ("soon", 30)])
def test_patience_is_what_cvat_asks_for_within_reason(header: str, seconds: float) -> None:
    error = refusal("https://cvat.example", "GET", "/", answer(429, {}, headers={"Retry-After": header}))
    assert isinstance(error, errors.RateLimitedError)
    assert error.retry_after == seconds


def test_lists_of_settings_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_OPERATOR_NAMESPACES", "lab, plant,")
    assert Settings().namespaces == ("lab", "plant")


def test_a_redis_has_one_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_OPERATOR_REDIS_URL", "redis://redis")
    monkeypatch.setenv("SAM2_OPERATOR_REDIS_URL_FILE", "/run/url")
    with pytest.raises(ValidationError, match="not both"):
        Settings()


def test_generated_files_are_fresh() -> None:
    assert crd.main([str(REPOSITORY / "crds/sam2trackers.yaml"), "--check"]) == 0
    assert reference.main([str(REPOSITORY / "docs/resource.md"), "--check"]) == 0


def test_a_stale_file_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = tmp_path / "crd.yaml"
    stale.write_text("old")
    assert crd.main([str(stale), "--check"]) == 1
    assert "is stale: run python -m sam2_operator.api.crd" in capsys.readouterr().err
    assert crd.main([str(stale)]) == 0
    assert crd.main([str(stale), "--check"]) == 0


@pytest.mark.parametrize("token", ["half a\ntoken", "tökén-☃"])
def test_a_token_that_no_header_can_hold_is_told_without_the_token(token: str) -> None:
    access = CvatAccess("http://127.0.0.1:9", "", TokenCredentials(token))
    with pytest.raises(errors.CvatError) as caught:
        SdkCvat(SystemClock()).session(access).user()
    assert token.split("\n", maxsplit=1)[0] not in str(caught.value)
    assert "not one line" in str(caught.value)
    assert isinstance(caught.value, errors.CredentialsRefusedError)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://[half-an-address", "is none"),
        ("redis://127.0.0.1:1/0?colour=blue", "is none"),
        ("redis://127.0.0.1:port/0", "is none"),
        ("http://127.0.0.1", "is none"),
    ],
)
def test_a_url_of_redis_that_is_none_is_told_without_the_url(url: str, said: str) -> None:
    with pytest.raises(errors.StateStoreError, match=said) as caught:
        RedisStateStore(None).ping(StateAccess(url))
    assert url not in str(caught.value)


def test_certificates_for_a_redis_without_tls_are_told() -> None:
    pem = ssl.DER_cert_to_PEM_cert(ssl.create_default_context().get_ca_certs(binary_form=True)[0])
    with pytest.raises(errors.StateStoreError, match="rediss://"):
        RedisStateStore(None).ping(StateAccess("redis://127.0.0.1:1", pem))


def test_trackers_do_not_queue_for_a_redis_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(2) as trackers:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        store = RedisStateStore(
            Administrator(url, password=lambda: "password", ca_pem=lambda: None, manages_users=True)
        )
        silent.settimeout(3)
        asked = [trackers.submit(store.ensure_user, uid) for uid in ("one", "two")]
        with silent.accept()[0], silent.accept()[0]:
            assert not any(each.done() for each in asked)
        assert all(isinstance(each.exception(), errors.StateStoreError) for each in asked)

"""Fetching from the Hugging Face hub: a small hub on localhost gives the answers that the real one gives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from urllib.parse import urlsplit

import huggingface_hub
import huggingface_hub.utils
import pytest

from sam2_agent.adapters.sam2_hub import HubModel, fetch
from sam2_agent.errors import ModelNotFound
from tests.http_proxy import http_proxy

MODEL = "facebook/sam2.1-hiera-tiny"
FILE = "sam2.1_hiera_tiny.pt"
CONTENT = b"weights"
COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """Revision by revision: the file, or one of the hub's ways to say no."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        revision = self.path.split("/")[4] if self.path.count("/") >= 5 else "none"
        status, code = {
            "gone": (404, "RevisionNotFound"),
            "private": (401, "RepoNotFound"),
            "gated": (403, "GatedRepo"),
            "empty": (404, "EntryNotFound"),
            "broken": (500, ""),
        }.get(revision, (200, ""))
        if revision == "secret" and self.headers.get("Authorization") != "Bearer hf_token":
            status, code = 401, "GatedRepo"
        body = CONTENT if status == 200 else b""
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the test's output clean."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client waits for over twenty seconds between its tries."""
    monkeypatch.setattr(huggingface_hub.utils._http, "time", SimpleNamespace(sleep=lambda _seconds: None))


@pytest.fixture
def hub() -> Iterator[str]:
    """The URL of a hub that knows `MODEL`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_downloaded_once_and_then_found_without_the_hub(hub: str, tmp_path: Path) -> None:
    config, path = fetch(HubModel(MODEL, "main", cache_dir=tmp_path), endpoint=hub)

    assert config == "configs/sam2.1/sam2.1_hiera_t.yaml"
    assert path.name == FILE
    assert path.read_bytes() == CONTENT
    assert fetch(HubModel(MODEL, "main", cache_dir=tmp_path), endpoint="http://127.0.0.1:1")[1] == path


def test_a_hub_that_only_the_environments_proxy_reaches(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = urlsplit(hub).port or 0
    with http_proxy({"hub.test": ("127.0.0.1", port)}) as proxy:
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        huggingface_hub.close_session()  # it read the environment when it was opened
        _, path = fetch(HubModel(MODEL, "main", cache_dir=tmp_path), endpoint=f"http://hub.test:{port}")
    huggingface_hub.close_session()

    assert path.read_bytes() == CONTENT
    assert proxy.asked


def test_the_token_is_sent_and_never_shown(hub: str, tmp_path: Path) -> None:
    model = HubModel(MODEL, "secret", token="hf_token", cache_dir=tmp_path)

    assert fetch(model, endpoint=hub)[1].read_bytes() == CONTENT
    assert "hf_token" not in repr(model)


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [
        ("gone", "revision gone does not exist on the hub; check the model's revision."),
        ("private", "is not on the hub, or is private and the agent's token may not read it."),
        ("gated", "is gated; accept its terms on the hub and give the agent a token that may read it."),
        ("empty", f"revision empty has no file {FILE}; check the model's revision."),
        ("broken", "and the hub cannot be reached"),
    ],
)
def test_a_refusal_is_one_sentence(hub: str, tmp_path: Path, revision: str, sentence: str) -> None:
    with pytest.raises(ModelNotFound) as missing:
        fetch(HubModel(MODEL, revision, token="hf_token", cache_dir=tmp_path), endpoint=hub)

    assert sentence in str(missing.value)
    assert str(missing.value).startswith(f"The model {MODEL} at revision {revision} ")
    assert "\n" not in str(missing.value)
    assert "hf_token" not in str(missing.value)


def test_no_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="is not in the cache, and the hub cannot be reached"):
        fetch(HubModel(MODEL, cache_dir=tmp_path), endpoint="http://127.0.0.1:1")


def test_an_unknown_id_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ModelNotFound, match=r"facebook/sam3 is none of .*facebook/sam2\.1-hiera-tiny.* on a volume"
    ):
        fetch(HubModel("facebook/sam3", cache_dir=tmp_path))


def test_a_cache_that_cannot_be_written_is_told(hub: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ModelNotFound, match="cannot be kept in the model cache"):
        fetch(HubModel(MODEL, cache_dir=tmp_path / "file"), endpoint=hub)

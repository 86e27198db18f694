"""A CVAT, and a model hub, that only a proxy reaches."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sam2_agent.adapters.cvat_client import CVATClient
from sam2_agent.errors import CVATUnavailable
from tests.behind_proxy import no_proxies, proxy
from tests.cvat_standin.certificates import BEHIND_PROXY
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.fixtures import secure_cvat
from tests.http_proxy import HttpProxy

__all__ = ["no_proxies", "proxy", "secure_cvat"]


def connected(cvat: CVAT, folder: Path, proxy_url: str | None = None) -> CVATClient:
    """A client that calls CVAT by the name that only the proxy knows."""
    (folder / "token").write_text(cvat.add_user("robot").token)
    return CVATClient(
        f"https://{BEHIND_PROXY}:{urlsplit(cvat.url).port}",
        credentials_dir=folder,
        organization="",
        ca_file=folder / "ca.pem",
        proxy_url=proxy_url,
        on_answer=lambda: None,
    )


def test_the_proxy_of_the_settings(secure_cvat: CVAT, tmp_path: Path, proxy: HttpProxy) -> None:
    assert connected(secure_cvat, tmp_path, proxy.url).username() == "robot"
    assert proxy.asked == [f"CONNECT {BEHIND_PROXY}:{urlsplit(secure_cvat.url).port}"]


def test_without_it_there_is_no_way(secure_cvat: CVAT, tmp_path: Path, proxy: HttpProxy) -> None:
    with pytest.raises(CVATUnavailable):
        connected(secure_cvat, tmp_path).get("/api/users/self")
    assert proxy.asked == []


def test_the_proxy_of_the_environment_with_a_login(
    secure_cvat: CVAT, tmp_path: Path, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.login = "agent:pass word"
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//agent:pass%20word@"))
    assert connected(secure_cvat, tmp_path).username() == "robot"


def test_a_host_that_the_environment_excepts(
    secure_cvat: CVAT, tmp_path: Path, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", BEHIND_PROXY)
    with pytest.raises(CVATUnavailable):
        connected(secure_cvat, tmp_path).get("/api/users/self")
    assert proxy.asked == []

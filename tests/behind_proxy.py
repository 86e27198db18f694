"""Fixtures: a CVAT that only a proxy reaches, on a machine that names no proxy of its own."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.cvat_standin.certificates import BEHIND_PROXY
from tests.cvat_standin.client import CVAT
from tests.http_proxy import HttpProxy, http_proxy


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proxy(secure_cvat: CVAT) -> Iterator[HttpProxy]:
    """One that alone knows where the CVAT is."""
    port = urlsplit(secure_cvat.url).port or 0
    with http_proxy({BEHIND_PROXY: ("127.0.0.1", port)}) as running:
        yield running

"""The pytest fixtures `cvat` and `secure_cvat`: import them in a `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cvat_standin.certificates import write_certificates
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.server import serving_in_thread


@pytest.fixture
def cvat() -> Iterator[CVAT]:
    """A CVAT stand-in of this test's own, on a free port of the loopback interface."""
    with serving_in_thread() as url, closing(CVAT(url)) as handle:
        yield handle


@pytest.fixture
def secure_cvat(tmp_path: Path) -> Iterator[CVAT]:
    """The same by HTTPS; `ca_file` is the authority that vouches for it, which no system trusts."""
    ca_file, tls = write_certificates(tmp_path)
    with serving_in_thread(tls=tls) as url, closing(CVAT(url, ca_file=ca_file)) as handle:
        yield handle

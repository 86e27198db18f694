"""The pytest fixture `cvat`: import it in a `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cvat_standin.client import CVAT
from tests.cvat_standin.server import serving_in_thread


@pytest.fixture
def cvat() -> Iterator[CVAT]:
    """A CVAT stand-in of this test's own, on a free port of the loopback interface."""
    with serving_in_thread() as url:
        handle = CVAT(url)
        try:
            yield handle
        finally:
            handle.close()

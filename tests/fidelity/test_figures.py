"""The figures that `docs/fidelity.md` tells are those that are measured."""

from __future__ import annotations

from pathlib import Path

from tests.fidelity.figures import polygons

PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"


def test_the_page_tells_what_polygons_keep() -> None:
    assert polygons() in PAGE.read_text()

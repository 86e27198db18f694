"""What the pages in docs/ name exists: a promise whose test is gone is no promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/README.md")])

_NAMED = re.compile(r"`((?:agent|benchmarks|charts|docs|examples|hack|operator|tests)/[\w./-]*)(?:::(\w+))?`")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_places_and_tests_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [
        "::".join(filter(None, (path, name)))
        for path, name in _NAMED.findall(text)
        if not (ROOT / path).exists() or (name and not _defines(ROOT / path, name))
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    broken = [
        link for link in _LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()
    ]
    assert not broken


def _defines(file: Path, name: str) -> bool:
    definition = re.compile(rf"^(?:async )?(?:def|class) {name}\b", re.MULTILINE)
    return definition.search(file.read_text(encoding="utf-8")) is not None

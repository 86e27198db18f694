"""The table of situations says by its exit status whether each resource ended as it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane import situations
from tests.controlplane.situations import Outcomes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "table"
    path.touch()
    monkeypatch.setenv(situations.FILE_VARIABLE, str(path))
    return path


def test_rows_of_one_situation_are_summed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    situations.add("killed", Outcomes(tried=3, converged=3))
    situations.add("evicted", Outcomes(converged=1))
    situations.add("killed", Outcomes(converged=1))
    assert situations.main([str(file)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == [["killed", "4", "4", "0", "0", "0"], ["evicted", "1", "1", "0", "0", "0"]]


@pytest.mark.parametrize(
    "outcomes",
    [
        Outcomes(),
        Outcomes(tried=0),
        Outcomes(converged=1, duplicates=1),
        Outcomes(converged=1, orphans=1),
        Outcomes(converged=1, hangs=1),
    ],
)
def test_what_is_not_as_it_should_be_fails_the_table(file: Path, outcomes: Outcomes) -> None:
    situations.add("good", Outcomes(converged=1))
    situations.add("bad", outcomes)
    assert not outcomes.good
    assert situations.main([str(file)]) == 1


def test_a_table_of_nothing_fails(file: Path) -> None:
    assert situations.main([str(file)]) == 1

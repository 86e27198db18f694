"""The table of faults counts what went wrong, and says so by its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import fault_table
from tests.fault_table import Verdict, judge

EXPECTED = [("a1", "b1"), ("a2", None), ("a3", "b3")]


def test_an_undisturbed_run_is_clean() -> None:
    assert judge(EXPECTED, EXPECTED).clean


def test_another_shape_is_wrong() -> None:
    assert judge(EXPECTED, [("a1", "b1"), ("a2", "b2"), ("a3", None)]) == Verdict(wrong=2)


def test_frames_without_answer_lose_all_objects() -> None:
    assert judge(EXPECTED, EXPECTED[:2]) == Verdict(lost=2)


def test_rows_of_one_kind_are_summed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table"
    monkeypatch.setenv(fault_table.FILE_VARIABLE, str(file))
    fault_table.add("killed", Verdict(tried=3))
    fault_table.add("flushed", Verdict())
    fault_table.add("killed", Verdict(tried=4))
    assert fault_table.main([str(file)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in printed[2:]] == [["killed", "7"], ["flushed", "1"]]


def test_a_lost_track_fails_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table"
    monkeypatch.setenv(fault_table.FILE_VARIABLE, str(file))
    fault_table.add("killed", Verdict(lost=1))
    assert fault_table.main([str(file)]) == 1


def test_a_table_of_nothing_fails(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.touch()
    assert fault_table.main([str(file)]) == 1

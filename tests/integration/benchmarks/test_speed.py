"""`make bench` works from end to end: real agents, the stock one too, are measured, and figures written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.speed import cpu

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("table", ["requests", "breakdown"])
def test_a_table_is_measured_written_and_drawn(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cpu.main([table, "--quick", "--results", str(tmp_path)])

    found = json.loads((tmp_path / f"cpu-{table}.json").read_text())
    assert found["effort"] == "quick"
    assert found["rows"]
    assert (tmp_path / f"cpu-{table}.svg").stat().st_size > 1000
    told = capsys.readouterr().out
    assert found["title"] in told
    assert found["goals"]
    assert all(goal["measure"] in told for goal in found["goals"])
    if table == "requests":  # it counts: no machine is too slow for its goals
        assert [goal["met"] for goal in found["goals"] if goal["limit"]] == [True, True], told
        assert status == 0

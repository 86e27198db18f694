"""docs/operations.md speaks of every reason that the code can give and of no other, and of real metrics."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import generate_latest

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.core.status import Status
from sam2_operator.adapters.metrics import OperatorMetrics
from tests.unit.reasons import reasons_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
CODE = (ROOT / "operator/sam2_operator", ROOT / "agent/sam2_agent")

_REASONS = re.compile(r"## Reasons\n(.*?)\n## ", re.DOTALL)
_NAMED = re.compile(r"`([A-Z]+[a-z]\w*)`")
_METRIC = re.compile(r"sam2_(?:operator|agent)_\w+")
_SUFFIX = re.compile(r"_(bucket|count|sum|total|created)$")


def documented() -> set[str]:
    """The words of the first column of the tables of reasons, and of the sentence below them."""
    section = _REASONS.search(PAGE)
    assert section is not None
    rows = [line.split("|")[1] for line in section[1].splitlines() if line.startswith("|")]
    below = [line for line in section[1].splitlines() if line.startswith("`KubernetesError`")]
    return {word for part in [*rows, *below] for word in _NAMED.findall(part)}


def test_every_reason_is_explained() -> None:
    assert sorted(reasons_of(*CODE) - documented()) == []


def test_every_reason_that_is_explained_can_be_met() -> None:
    assert sorted(documented() - reasons_of(*CODE)) == []


def test_reasons_are_found_wherever_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "class Trouble(Exception):\n    reason = 'AnAttribute'\n"
        "class Finding:\n    kind: str\n    reason: str\n"
        "def tell(what, reason): ...\n"
        "Finding('x', 'APosition' if known else 'AnotherPosition')\n"
        "tell(1, given or 'AnArgument'); say(reason='AKeyword'); {'reason': 'AKey'}\n"
    )
    given = {"AnAttribute", "APosition", "AnotherPosition", "AnArgument", "AKeyword", "AKey"}
    assert given <= reasons_of(tmp_path)


def test_the_metrics_named_exist() -> None:
    text = OperatorMetrics().rendered(trackers=0, ready=0).decode()
    text += generate_latest(Metrics(Status("0", BootClock())).registry).decode()
    known = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    known |= {_SUFFIX.sub("", name) for name in known}
    named = {name for name in _METRIC.findall(PAGE) if not name.endswith("_")}
    assert sorted(name for name in named if name not in known and _SUFFIX.sub("", name) not in known) == []

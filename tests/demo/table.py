"""The demo's last words: one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.demo.verdict import Verdict


def table(verdict: Verdict) -> str:
    """What happened and what came of it, ready to print."""
    session = verdict.session
    clip = session.clip
    waited = [answer.milliseconds for answer in session.answers]
    objects = ", ".join(f"{target.name} ({target.shape_type})" for target in clip.targets)
    rows = [
        ("frames", f"{len(clip.jpegs)}, in {len(waited)} track requests"),
        ("objects", f"{len(clip.targets)}: {objects}"),
        ("ms a frame", f"median {np.median(waited):.0f}, p95 {np.percentile(waited, 95):.0f}"),
    ]
    rows += [
        (outage.what, f"frame {outage.frame}; its answer came {outage.seconds:.1f} s later")
        for outage in session.outages
    ]
    if clip.correction:
        corrected = clip.targets[clip.correction.target].name
        rows.append(
            ("corrected by hand", f"the {corrected} on frame {clip.correction.frame}; run again from there")
        )
    names = [target.name for target in clip.targets]
    rows += [
        ("IoU against ground truth", _figures(names, verdict.curves)),
        ("  SAM2's own predictor", _figures(names, verdict.own)),
        ("masks identical to a run without a kill", "no" if verdict.differing else "yes"),
        ("functions in CVAT", str(verdict.functions)),
        ("agents", str(len(verdict.agents))),
    ]
    return _box(rows)


def _figures(names: Sequence[str], curves: NDArray[np.float64]) -> str:
    means = curves.mean(axis=1)
    each = [f"{name} {mean:.3f}" for name, mean in zip(names, means, strict=True)]
    return f"{', '.join(each)}; mean {means.mean():.3f}"


def _box(rows: Sequence[tuple[str, str]]) -> str:
    left = max(len(name) for name, _ in rows)
    right = max(len(value) for _, value in rows)
    lines = [f"│ {name:<{left}} │ {value:<{right}} │" for name, value in rows]
    top, bottom = (f"{a}{'─' * (left + 2)}{b}{'─' * (right + 2)}{c}" for a, b, c in ("┌┬┐", "└┴┘"))
    return "\n".join([top, *lines, bottom])

"""The plot of `operator_scale`: what a quiet tracker costs, by how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from benchmarks.speed.plots import save

_PANELS = (
    ("reconcile_p95_ms", "reconcile, p95 (ms)"),
    ("kubernetes_requests_per_second", "requests to the API server (1/s)"),
    ("cvat_requests_per_account_and_minute", "requests to CVAT (1/min, account)"),
    ("cpu_seconds_per_minute", "CPU (s/min)"),
    ("resident_mib", "memory (MiB)"),
)


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Draw each figure of a results file over the number of trackers.

    There is a line for each way to deal them out to accounts.
    """
    looks = document["quiet"]
    figure, axes = plt.subplots(1, len(_PANELS), figsize=(3.2 * len(_PANELS), 3), layout="constrained")
    rows = [{**look, "reconcile_p95_ms": look["reconcile"]["p95"]} for look in looks]
    largest = max(row["trackers"] for row in rows)
    for axis, (name, title) in zip(axes, _PANELS, strict=True):
        many = sorted((row["trackers"], row[name]) for row in rows if row["accounts"] > 1)
        one = [(row["trackers"], row[name]) for row in rows if row["accounts"] == 1]
        axis.plot(*zip(*many, strict=True), "o-", label="several accounts")
        if one:
            axis.plot(*zip(*one, strict=True), "s", label="one account")
        axis.set(title=title, xscale="log", xlabel="trackers", ylim=(0, None), xlim=(None, 1.5 * largest))
    axes[0].legend()
    save(figure, path, f"{document['machine']}, {document['cores']} cores, {document['date']}")

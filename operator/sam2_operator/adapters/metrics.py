"""Prometheus metrics of the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class OperatorMetrics:
    """The port `Metrics`, and what the driver measures."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._reconciles = Histogram(
            "sam2_operator_reconcile_seconds",
            "Duration of reconciles",
            ["result"],
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._waits = Histogram(
            "sam2_operator_queue_wait_seconds",
            "How long trackers that were due waited for a worker",
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._waiting = Gauge(
            "sam2_operator_queue_length", "Trackers that wait for a worker", registry=self._registry
        )
        self._cvat_requests = Counter(
            "sam2_operator_cvat_requests",
            "Requests to CVAT by result: Answered, or the reason as conditions name it; NotAsked was spared",
            ["result"],
            registry=self._registry,
        )
        self._trackers = Gauge(
            "sam2_operator_trackers", "SAM2Trackers by readiness", ["ready"], registry=self._registry
        )
        self._not_ready = Gauge(
            "sam2_operator_trackers_not_ready",
            "SAM2Trackers that are not ready, by the reason of their condition Ready",
            ["reason"],
            registry=self._registry,
        )
        self._registered = Counter(
            "sam2_operator_functions_registered", "Functions made in CVAT", registry=self._registry
        )
        self._left_behind = Counter(
            "sam2_operator_left_behind",
            "Trackers let go although something of theirs stayed in CVAT or Redis",
            registry=self._registry,
        )

    def observe(self, result: str, seconds: float) -> None:
        """Count a reconcile."""
        self._reconciles.labels(result).observe(seconds)

    def waited(self, seconds: float) -> None:
        """Count a tracker that a worker took, after so long a wait."""
        self._waits.observe(seconds)

    def cvat_asked(self, result: str) -> None:
        """Count a request to CVAT."""
        self._cvat_requests.labels(result).inc()

    def left_behind(self) -> None:
        """Count a tracker that was let go although something of it stayed in CVAT or Redis."""
        self._left_behind.inc()

    def registered(self) -> None:
        """Count a function made in CVAT."""
        self._registered.inc()

    def rendered(
        self, *, trackers: int, ready: int, waiting: int = 0, reasons: Mapping[str, int] | None = None
    ) -> bytes:
        """Give all metrics in Prometheus' text format; `reasons` count the trackers that are not ready."""
        self._not_ready.clear()
        for reason, count in (reasons or {}).items():
            self._not_ready.labels(reason).set(count)
        self._waiting.set(waiting)
        self._trackers.labels("true").set(ready)
        self._trackers.labels("false").set(trackers - ready)
        return generate_latest(self._registry)

"""Prometheus metrics of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from sam2_operator.gateway.room import Room
    from sam2_operator.gateway.roster import Roster

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class GatewayMetrics:
    """What is counted, and what is read off room and roster when somebody asks."""

    def __init__(self, room: Room, roster: Roster) -> None:
        self._registry = CollectorRegistry()
        self._calls = Histogram(
            "sam2_gateway_call_seconds",
            "Duration of calls of trackers, by what came of them",
            ["result"],
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._retries = Counter(
            "sam2_gateway_retries", "Calls sent to an agent once more", registry=self._registry
        )
        trackers = Gauge(
            "sam2_gateway_trackers", "Serverless trackers by readiness", ["ready"], registry=self._registry
        )
        trackers.labels("true").set_function(lambda: len(roster.listed()))
        trackers.labels("false").set_function(lambda: roster.count() - len(roster.listed()))
        Gauge("sam2_gateway_calls_in_hand", "Calls in hand", registry=self._registry).set_function(
            lambda: room.calls
        )
        Gauge("sam2_gateway_calls_waiting", "Calls without room", registry=self._registry).set_function(
            lambda: room.waiting
        )
        Gauge(
            "sam2_gateway_bytes_in_hand", "Length of the calls in hand", registry=self._registry
        ).set_function(lambda: room.held)

    def called(self, result: str, seconds: float) -> None:
        """Count a call."""
        self._calls.labels(result).observe(seconds)

    def retried(self) -> None:
        """Count a call that is sent once more."""
        self._retries.inc()

    def rendered(self) -> bytes:
        """Give all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

"""What the agent counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from sam2_agent.core.status import Status

_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Counters as `sam2_agent.core.ports.Events`, and gauges that are read from the status."""

    def __init__(self, status: Status, model_pid: int | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        if model_pid is not None:
            ProcessCollector("sam2_agent_model", pid=lambda: model_pid, registry=self.registry)
        self._requests = Histogram(
            "sam2_agent_request_seconds",
            "From having a request to having its end accepted by CVAT, by type and outcome.",
            ("type", "outcome"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._computed = self._counter(
            "steps_computed", "Steps (one object on one frame) that the model computed."
        )
        self._foreseen = self._counter(
            "steps_foreseen", "Steps that the model had computed before they were asked for."
        )
        self._reused = self._counter("answers_reused", "Answers given again because they stood already.")
        self._restored = self._counter(
            "steps_restored", "Steps computed again because their records were missing."
        )
        self._lost = self._counter(
            "tracks_lost", "Calls refused because what a track goes on from is gone from Redis."
        )
        self._dropped = self._counter("memories_dropped", "Steps whose memory was not written to Redis.")
        self._damaged = Counter(
            "sam2_agent_records_damaged",
            "Records in Redis that could not be read and were treated as missing.",
            ("kind",),
            registry=self.registry,
        )
        self._errors = Counter(
            "sam2_agent_unavailable",
            "Times that CVAT or Redis did not do what it was asked, by reason.",
            ("reason",),
            registry=self.registry,
        )
        held = Gauge("sam2_agent_lease_held", "1 where this agent holds the lease.", registry=self.registry)
        held.set_function(lambda: float(status.lease_held()))
        epoch = Gauge("sam2_agent_lease_epoch", "How many holders the lease had.", registry=self.registry)
        epoch.set_function(lambda: float(status.lease.epoch if status.lease else 0))
        ready = Gauge("sam2_agent_ready", "1 where requests are answered.", registry=self.registry)
        ready.set_function(lambda: float(status.report().ready))

    def computed(self, steps: int) -> None:
        """Steps came from the model."""
        self._computed.inc(steps)

    def foreseen(self, steps: int) -> None:
        """Steps that were asked for had been computed before."""
        self._foreseen.inc(steps)

    def reused(self, answers: int) -> None:
        """Answers that stood already were given again."""
        self._reused.inc(answers)

    def restored(self, steps: int) -> None:
        """Steps are computed again because their records were missing."""
        self._restored.inc(steps)

    def lost(self) -> None:
        """A call was refused, because records are missing that nobody can compute again."""
        self._lost.inc()

    def damaged(self, kind: str) -> None:
        """A record could not be read and counts as missing."""
        self._damaged.labels(kind).inc()

    def memories_dropped(self, steps: int) -> None:
        """The memories of steps were not written; they would be computed again."""
        self._dropped.inc(steps)

    def request(self, kind: str, outcome: str, seconds: float) -> None:
        """A request ended for this agent."""
        self._requests.labels(kind, outcome).observe(seconds)

    def unavailable(self, reason: str) -> None:
        """CVAT or Redis did not do what it was asked."""
        self._errors.labels(reason).inc()

    def expose(self) -> bytes:
        """Write everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"sam2_agent_{name}", text, registry=self.registry)

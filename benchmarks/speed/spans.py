"""What an agent did when: spans that `traced_agent` wrote, in seconds of the system's monotonic clock.

That clock is one for all processes of a machine, so an annotator's moments fit in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Span(BaseModel):
    """A call: its name, when it began and ended, and the request it was about where it tells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    begin: float
    end: float
    request: str | None = None

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return 1000 * (self.end - self.begin)


@dataclass(frozen=True, slots=True)
class Served:
    """A request as the agent saw it: from having it to telling CVAT the answer, and all that happened."""

    acquire: Span
    complete: Span
    spans: Sequence[Span]
    """Of all names, those that touch the time between the two, the requests before and after included."""

    def milliseconds(self, *names: str) -> float:
        """How long at least one call of these names was under way between acquire and complete."""
        return 1000 * covered(self._inside(names))

    def calls(self, name: str) -> int:
        """How many calls of that name began between acquire and complete."""
        return sum(
            1
            for span in self.spans
            if span.name == name and self.acquire.end <= span.begin < self.complete.begin
        )

    def _inside(self, names: Sequence[str]) -> Iterator[tuple[float, float]]:
        for span in self.spans:
            if span.name in names:
                yield max(span.begin, self.acquire.end), min(span.end, self.complete.begin)


def read_spans(*files: Path) -> list[Span]:
    """All spans of the files that are there, by their beginning."""
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines(keepends=True)]
    whole = (line for line in lines if line.endswith("\n"))  # the last one may be half written
    return sorted((Span.model_validate_json(line) for line in whole), key=lambda span: span.begin)


def served(spans: Sequence[Span], began: float, ended: float) -> Served:
    """The request that was completed between two moments; raises `LookupError` unless it is one."""
    done = [span for span in spans if span.name == "complete" and began <= span.begin < ended]
    if len(done) != 1:
        raise LookupError(f"{len(done)} requests were completed while the annotator waited for one")
    [complete] = done
    [acquire] = [span for span in spans if span.name == "acquire" and span.request == complete.request]
    inside = [span for span in spans if span.begin < complete.end and span.end > acquire.begin]
    return Served(acquire, complete, inside)


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of the intervals lies; those that end before they begin are empty."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        if end > max(begin, reached):
            total += end - max(begin, reached)
            reached = end
    return total

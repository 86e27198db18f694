"""Several stages at once: working through points or seeds, with progress, a table row and a verdict."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import cached_property
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from tests import fault_table
from tests.crashpoints.crash import Outcome, Undisturbed, undisturbed
from tests.crashpoints.points import Point, enumerate_points
from tests.crashpoints.stage import Stage, stage

T = TypeVar("T")

REFERENCES = 3
"""So many undisturbed runs tell which calls come every time."""

PROGRESS_SECONDS = 20.0


class Crew:
    """`jobs` stages, and what happens on them undisturbed."""

    def __init__(self, jobs: int, command: str = "", kind: type[Stage] = Stage) -> None:
        self._jobs = jobs
        self._kind = kind
        self._command = command
        self._stack = ExitStack()
        self._free: SimpleQueue[Stage] = SimpleQueue()
        self._said_at = time.monotonic()

    @property
    def stage(self) -> Stage:
        """One of the stages, for a look while none is at work."""
        self._free.put(free := self._free.get())
        return free

    def __enter__(self) -> Self:
        try:
            for _ in range(self._jobs):
                self._free.put(self._stack.enter_context(stage(self._kind)))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def undisturbed(self) -> list[Undisturbed]:
        """Some undisturbed runs. Raises `AssertionError` where two of them have different answers."""
        with ThreadPoolExecutor(self._jobs) as pool:
            runs = list(pool.map(lambda _: self._on_a_stage(undisturbed), range(REFERENCES)))
        assert all(run.answers == runs[0].answers for run in runs), "undisturbed runs differ"
        return runs

    @cached_property
    def points(self) -> list[Point]:
        """All points of the session."""
        return enumerate_points([run.calls for run in self.undisturbed])[0]

    @property
    def unsteady(self) -> int:
        """How many calls came in some undisturbed runs only; they have no points."""
        return enumerate_points([run.calls for run in self.undisturbed])[1]

    def run(
        self, kind: str, work: Sequence[T], do: Callable[[Stage, T, Undisturbed], Outcome], repeat: str
    ) -> int:
        """Do all work, print what failed and how to repeat it; return the exit status."""
        outcomes = self.outcomes(kind, work, do, repeat)
        failed = [outcome for outcome in outcomes if not outcome.clean]
        verdict = sum((outcome.verdict for outcome in outcomes), fault_table.Verdict(tried=0))
        print(fault_table.render({kind: verdict}))
        print(f"{len(outcomes) - len(failed)} of {len(outcomes)} clean")
        return 1 if failed or not outcomes else 0

    def outcomes(
        self, kind: str, work: Sequence[T], do: Callable[[Stage, T, Undisturbed], Outcome], repeat: str = ""
    ) -> list[Outcome]:
        """Do all work, on all stages at once; each outcome is added to the fault table as it comes."""
        expected = self.undisturbed[0]
        began_at = time.monotonic()
        outcomes: list[Outcome] = []
        with ThreadPoolExecutor(self._jobs) as pool:
            pending = [
                pool.submit(self._on_a_stage, lambda on, each=each: _surely(do, on, each, expected))
                for each in work
            ]
            try:
                for done in as_completed(pending):
                    outcome = done.result()
                    outcomes.append(outcome)
                    fault_table.add(kind, outcome.verdict)
                    if not outcome.clean:
                        print(f"FAILED {outcome.name}\n  {outcome.verdict}", *outcome.complaints, sep="\n  ")
                        print(f"  repeat: {self._command} {repeat} '{outcome.name}'", flush=True)
                    self._progress(len(outcomes), len(work), time.monotonic() - began_at)
            finally:
                for each in pending:
                    each.cancel()
        return outcomes

    def _on_a_stage(self, do: Callable[[Stage], T]) -> T:
        free = self._free.get()
        try:
            return do(free)
        finally:
            self._free.put(free)

    def _progress(self, done: int, of: int, seconds: float) -> None:
        if time.monotonic() - self._said_at > PROGRESS_SECONDS or done == of:
            self._said_at = time.monotonic()
            per_minute = 60 * done / seconds
            left = (of - done) / per_minute
            print(f"{done} of {of}, {per_minute:.0f} a minute, about {left:.1f} min left", flush=True)


def _surely(
    do: Callable[[Stage, T, Undisturbed], Outcome], on: Stage, each: T, expected: Undisturbed
) -> Outcome:
    """A run that breaks the harness is a failure, and the others go on."""
    try:
        return do(on, each, expected)
    except Exception:  # noqa: BLE001  (its traceback is the outcome)
        return Outcome(str(each), fault_table.Verdict(), (traceback.format_exc(),))

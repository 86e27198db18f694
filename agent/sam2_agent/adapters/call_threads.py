"""The threads in which blocking calls wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


class CallThreads(ThreadPoolExecutor):
    """An event loop's default executor that lets the loop end while calls still hang.

    Otherwise a CVAT, or a name server, that does not answer would hold up the exit for the whole time-out
    after everything else was done, past the grace period that a pod has.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=16, thread_name_prefix="call")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Begin nothing more, and wait for nothing, whatever is asked."""
        del wait, cancel_futures
        super().shutdown(wait=False, cancel_futures=True)

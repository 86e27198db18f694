"""When a function that was replaced can be deleted: once no agent serves it, nor will serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_operator.core.workload import serves

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Workload


def is_unused(tracker: Tracker, workload: Workload) -> bool:
    """Whether no agent serves what the tracker's function replaced, nor will serve it.

    Where there is no pod, Kubernetes may make one at any moment, such as the template says that it knows: the
    API server may have refused the one for the present function.
    """
    status, stateful_set = tracker.status, workload.stateful_set
    if workload.pod is not None:
        return workload.current and serves(workload, status.function_id)
    if stateful_set is None:
        return True
    stopped = tracker.spec.suspend and stateful_set["spec"].get("replicas") == 0
    comes_back = any(serves(workload, each) for each in status.obsolete_function_ids)
    return workload.is_seen and (stopped or not comes_back)

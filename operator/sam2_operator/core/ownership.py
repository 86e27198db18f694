"""What makes an object the tracker's: names, labels, and the owner by which Kubernetes collects it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_operator.api import API_VERSION, GROUP, KIND
from sam2_operator.core import naming

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Manifest


def owned(tracker: Tracker, api_version: str, kind: str, name: str) -> Manifest:
    """Give the beginning of an object that belongs to the tracker."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": tracker.metadata.namespace,
            "labels": naming.labels(tracker.metadata.name),
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": tracker.metadata.name,
                    "uid": tracker.metadata.uid,
                    "controller": True,
                }
            ],
        },
    }


def is_owned(tracker: Tracker, live: Manifest) -> bool:
    """Whether an object belongs to this very tracker, not to an earlier one or to somebody else."""
    references = live["metadata"].get("ownerReferences", [])
    return any(reference.get("uid") == tracker.metadata.uid for reference in references)


def has_our_labels(tracker: Tracker, live: Manifest) -> bool:
    """Whether an object says that the operator made it for a tracker of this name."""
    labels: dict[str, str] = live["metadata"].get("labels", {})
    return naming.labels(tracker.metadata.name).items() <= labels.items()


def is_leftover(tracker: Tracker, live: Manifest) -> bool:
    """Whether an object is left from an earlier tracker of the same name: this one takes it over."""
    return any(
        (reference.get("apiVersion", "").partition("/")[0], reference.get("kind"), reference.get("name"))
        == (GROUP, KIND, tracker.metadata.name)
        and reference.get("uid") != tracker.metadata.uid
        for reference in live["metadata"].get("ownerReferences", [])
    )

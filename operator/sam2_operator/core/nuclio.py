"""Serverless trackers as CVAT expects to find them: functions of a Nuclio dashboard.

CVAT reads of a function its name, some annotations and a description (`lambda_manager` of its server), asks
for it again before each call, and drops whatever it does not know. So a tracker is *shown* while it is Ready,
and *callable* for as long as it is there and not stopped by anybody: an annotator whose agent is being
replaced in the middle of a track waits instead of being told that there is no such function.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from sam2_operator.core.environment import DOOR_PORT
from sam2_operator.core.naming import door_name, gateway_function
from sam2_operator.core.observed import Manifest

MOST_SECONDS = 3600.0

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class Shown(BaseModel):
    """A serverless tracker as the gateway knows it; holds nothing secret."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    namespace: str
    tracker: str
    uid: str
    title: str
    """What annotators read."""
    shape_types: tuple[str, ...]
    model: str
    ready: bool
    callable: bool

    @property
    def name(self) -> str:
        """By which CVAT calls it."""
        return gateway_function(self.namespace, self.tracker)

    @property
    def door(self) -> dict[str, str | int]:
        """Where its agent is, for an address to be made of."""
        return {
            "service": door_name(self.tracker),
            "namespace": self.namespace,
            "name": self.tracker,
            "port": DOOR_PORT,
        }


class _Part(BaseModel):
    """What is read of an object, whichever version of the CRD wrote the rest."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")


class _Metadata(_Part):
    name: str
    namespace: str
    uid: str
    deletion_timestamp: str | None = None


class _Cvat(_Part):
    interface: str = "Agent"


class _Function(_Part):
    name: str | None = None
    shape_types: tuple[str, ...] = ("mask", "polygon", "rectangle")


class _Spec(_Part):
    cvat: _Cvat
    function: Annotated[_Function, Field(default_factory=_Function)]
    suspend: bool = False


class _Condition(_Part):
    type: str
    status: str


class _Status(_Part):
    conditions: tuple[_Condition, ...] = ()
    model: str = ""


class _Tracker(_Part):
    metadata: _Metadata
    spec: _Spec
    status: Annotated[_Status, Field(default_factory=_Status)]


def is_serverless(live: Manifest) -> bool:
    """Whether a tracker, as the API server gives it, is one that CVAT calls."""
    cvat = (live.get("spec") or {}).get("cvat") or {}
    return isinstance(cvat, dict) and cvat.get("interface") == "Serverless"


def shown(live: Manifest) -> Shown | None:
    """Read a tracker; None for one that CVAT does not call, or that cannot be read."""
    if not is_serverless(live):
        return None
    try:
        tracker = _Tracker.model_validate(live)
    except ValidationError:
        return None
    metadata, spec, status = tracker.metadata, tracker.spec, tracker.status
    is_callable = metadata.deletion_timestamp is None and not spec.suspend
    said = {condition.type: condition.status for condition in status.conditions}
    return Shown(
        namespace=metadata.namespace,
        tracker=metadata.name,
        uid=metadata.uid,
        title=spec.function.name or metadata.name,
        shape_types=spec.function.shape_types,
        model=status.model,
        ready=is_callable and said.get("Ready") == "True",
        callable=is_callable,
    )


def function(tracker: Shown) -> dict[str, Any]:
    """Give the tracker as a function of Nuclio."""
    return {
        "metadata": {
            "name": tracker.name,
            "namespace": tracker.namespace,
            "labels": {"nuclio.io/project-name": "cvat"},
            "annotations": {
                "name": tracker.title,
                "type": "tracker",
                "spec": "[]",
                "version": "1",
                "framework": "pytorch",
                "help_message": "Draw the object on one frame; it is followed through the next ones.",
                "supported_shape_types": ",".join(tracker.shape_types),
            },
        },
        "spec": {"description": f"SAM2 video tracking ({tracker.model})" if tracker.model else "SAM2"},
        "status": {"state": "ready", "httpPort": DOOR_PORT},
    }


def seconds(duration: str | None) -> float | None:
    """Read a duration as Go writes it, such as 120s or 1m30s; None where it is none, or makes no sense."""
    parts = _DURATION.findall(duration or "")
    if not parts or "".join(count + unit for count, unit in parts) != duration:
        return None
    total = sum(float(count) * _UNITS[unit] for count, unit in parts)
    return min(total, MOST_SECONDS) if total > 0 else None

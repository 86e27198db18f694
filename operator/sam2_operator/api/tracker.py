"""The whole resource as the API server gives it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sam2_operator.api import API_VERSION, KIND
from sam2_operator.api.base import ApiModel
from sam2_operator.api.spec import TrackerSpec
from sam2_operator.api.status import TrackerStatus

FINALIZER = "sam2.dev/finalizer"
DEADLINE_ANNOTATION = "sam2.dev/deletion-deadline-seconds"
"""On a tracker that is to be deleted: wait no longer than this for CVAT and Redis, as the uninstall asks."""
MAX_NAME_LENGTH = 46
"""`<name>-agent-<hash of 10 characters>` is a label value of its pods: at most 63 characters."""


class Metadata(ApiModel):
    """The parts of an object's metadata that the operator reads."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    annotations: Annotated[dict[str, str], Field(default_factory=dict)]


class Tracker(ApiModel):
    """One SAM2Tracker."""

    api_version: str = API_VERSION
    kind: Literal["SAM2Tracker"] = KIND
    metadata: Metadata
    spec: Annotated[TrackerSpec, Field(description="What is wanted.")]
    status: Annotated[TrackerStatus, Field(description="What the operator last saw.")] = TrackerStatus()

    @property
    def key(self) -> str:
        """`<namespace>/<name>`, as logs and messages call it."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def is_serverless(self) -> bool:
        """Whether CVAT calls it through the gateway; nothing of it is in CVAT then."""
        return self.spec.cvat.interface == "Serverless"

    @property
    def deletion_seconds(self) -> float | None:
        """How long its deletion may wait at most, if somebody said so; what is no number says nothing."""
        said = self.metadata.annotations.get(DEADLINE_ANNOTATION, "")
        return float(said) if said.isascii() and said.isdecimal() else None

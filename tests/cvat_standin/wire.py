"""Bodies that clients send to CVAT, per its OpenAPI, and their errors in Django REST framework's form.

Unknown fields are ignored, as CVAT ignores them.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tests.cvat_standin.errors import ApiError, refused

ShapeType = Literal["rectangle", "polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton"]
RequestType = Literal["annotate_task", "annotate_frame", "interact", "init_tracking", "track"]
MAX_STATE_LENGTH = 4_194_304
MAX_STATES = 32

_Model = TypeVar("_Model", bound=BaseModel)


class Body(BaseModel):
    """A body from outside."""

    model_config = ConfigDict(extra="ignore")


class LoginBody(Body):
    """`POST /api/auth/login`."""

    username: str = ""
    email: str = ""
    password: str = Field(min_length=1)


class AccessTokenBody(Body):
    """`POST /api/auth/access_tokens`."""

    name: str = Field(min_length=1, max_length=50)
    expiry_date: datetime | None = None
    read_only: bool = False


class OrganizationBody(Body):
    """`POST /api/organizations`."""

    slug: str = Field(min_length=1, max_length=16, pattern=r"^[-a-zA-Z0-9_]+$")
    name: str = Field(default="", max_length=64)
    description: str = ""


class FunctionBody(Body):
    """`POST /api/functions`."""

    provider: str = Field(min_length=1, max_length=32)
    url: str | None = Field(default=None, min_length=1, max_length=256)
    name: str = Field(min_length=1, max_length=128)
    kind: Literal["detector", "interactor", "reid", "tracker"]
    visibility: Literal["public", "private"] = "private"
    supported_shape_types: list[ShapeType] = []
    labels_v2: list[dict[str, Any]] = []
    min_pos_points: int | None = Field(default=None, ge=0)
    min_neg_points: int | None = Field(default=None, ge=-1)
    startswith_box: bool | None = None
    startswith_box_optional: bool | None = None


class ShapeBody(Body):
    """A shape that tracking starts from."""

    type: ShapeType
    points: list[float] = []
    rotation: float = Field(default=0.0, ge=0, le=360)
    occluded: bool = False
    outside: bool = False
    z_order: int = 0


class FoundShapeBody(ShapeBody):
    """A shape of an agent's answer."""

    attributes: list[dict[str, Any]] = []


class RequestParams(Body):
    """What is asked of a function: `POST /api/functions/{id}/run`."""

    type: RequestType = "annotate_task"
    task: int
    job: int | None = None
    frame: int | None = Field(default=None, ge=0)
    threshold: float | None = Field(default=None, ge=0, le=1)
    cleanup: bool | None = None
    conv_mask_to_poly: bool | None = None
    mapping: dict[str, dict[str, Any]] | None = None
    pos_points: list[list[float]] | None = None
    neg_points: list[list[float]] | None = None
    obj_bbox: list[list[float]] | None = None
    roi: list[int] | None = Field(default=None, min_length=4, max_length=4)
    shapes: list[ShapeBody] | None = None
    states: list[str] | None = Field(default=None, max_length=MAX_STATES)

    @model_validator(mode="after")
    def _tracking_is_complete(self) -> RequestParams:
        if self.type in {"init_tracking", "track"}:
            if self.frame is None:
                raise ValueError("frame: This field is required.")
            what = self.shapes if self.type == "init_tracking" else self.states
            if not what:
                raise ValueError(
                    f"{'shapes' if self.type == 'init_tracking' else 'states'}: This field is required."
                )
        for state in self.states or []:
            if not 1 <= len(state) <= MAX_STATE_LENGTH:
                raise ValueError(f"states: Ensure each has 1 to {MAX_STATE_LENGTH} characters.")
        return self

    def as_sent(self) -> dict[str, Any]:
        """The `ar_params` that an agent gets: what was set."""
        return self.model_dump(exclude_none=True)


class BatchBody(RequestParams):
    """`POST /api/functions/requests/`."""

    function: int


class AgentBody(Body):
    """Any call of an agent on its queue."""

    agent_id: str = Field(min_length=1, max_length=64, pattern=r"^\w+$")


class AcquireBody(AgentBody):
    """`.../requests/acquire`."""

    request_category: Literal["interactive", "batch"]


class UpdateBody(AgentBody):
    """`.../requests/{request_id}/update`."""

    progress: float = Field(ge=0, le=1)


class FailBody(AgentBody):
    """`.../requests/{request_id}/fail`."""

    exc_info: str = Field(default="", min_length=1, max_length=4096)


class CompleteBody(AgentBody):
    """`.../requests/{request_id}/complete`."""

    annotations: dict[str, Any] | None = None
    shapes: list[FoundShapeBody | None] | None = None
    states: list[str] | None = None


class MetaBody(Body):
    """`PATCH /api/tasks/{id}/data/meta`."""

    deleted_frames: list[int] = []


def parse(model: type[_Model], raw: bytes) -> _Model:
    """The body as a model. Raises `ApiError` 400."""
    try:
        data = json.loads(raw or b"{}")
    except ValueError as error:
        raise ApiError(400, {"detail": f"JSON parse error - {error}"}) from error
    if not isinstance(data, dict):
        raise refused("Invalid data. Expected a dictionary.")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _as_api_error(error) from error


def _as_api_error(error: ValidationError) -> ApiError:
    fields: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        field = str(item["loc"][0]) if item["loc"] else ""
        message = "This field is required." if item["type"] == "missing" else item["msg"]
        if not field:  # raised by a validator of the whole, which names the field itself
            field, _, message = message.removeprefix("Value error, ").partition(": ")
        fields.setdefault(field, []).append(message)
    return ApiError(400, fields)

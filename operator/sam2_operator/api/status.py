"""`status`: what the operator saw and did. What must outlive a crash is remembered here and only here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sam2_operator.api.base import ApiModel
from sam2_operator.api.spec import ShapeType

ConditionType = Literal["Ready", "FunctionRegistered", "StateStoreReachable", "AgentAvailable"]

Text = Annotated[str, Field(max_length=1024)]
Timestamp = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
MAX_UNANSWERED = 16
MAX_FUNCTIONS = 64
"""Entries of lists in the status, which must fit into etcd whatever happens."""

FunctionID = Annotated[int, Field(ge=1, json_schema_extra={"format": "int64"})]


class StatusModel(ApiModel):
    """A part of the status. A newer operator may have written fields that this one does not know."""

    model_config = ConfigDict(extra="ignore")


class Condition(StatusModel):
    """One aspect of the tracker's state, as Kubernetes defines conditions."""

    type: Annotated[str, Field(max_length=316)] = Field(
        description="Ready, FunctionRegistered, StateStoreReachable or AgentAvailable."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int = Field(
        ge=0,
        description="The metadata.generation that it tells about.",
        json_schema_extra={"format": "int64"},
    )
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    reason: Annotated[str, Field(min_length=1, max_length=128)] = Field(description="One word for programs.")
    message: Annotated[str, Field(max_length=4096)] = Field(
        description="A sentence: what is, and what to do."
    )


class RequestedFunction(StatusModel):
    """A function that CVAT was asked for, and of which it may have made one."""

    name: Text = Field(description="Name of the function.")
    visibility: Literal["private", "public"] = Field(description="Visibility of the function.")
    shape_types: Annotated[list[ShapeType], Field(max_length=3)] = Field(
        description="Shapes of the function."
    )
    above_id: int = Field(
        ge=0,
        alias="aboveID",
        description="The highest id among CVAT's functions before; the new function's is higher.",
        json_schema_extra={"format": "int64"},
    )
    user_id: int = Field(
        alias="userID", description="Id of the account that asked.", json_schema_extra={"format": "int64"}
    )
    username: Text = Field(description="Name of that account.")


class UnansweredRequest(RequestedFunction):
    """A request that may have made a function of which CVAT has not told yet."""

    look_until: Timestamp = Field(
        description="Until when CVAT's list is searched for it; longer while a function of it is told in "
        "duplicateFunctionIDs."
    )


class Registration(RequestedFunction):
    """A function about to be registered, written before CVAT is asked: a crash cannot register it twice."""

    instance: Text = Field(description="The operator process that wrote it.")
    since: Timestamp = Field(description="When CVAT was asked.")


class RegisteredFunction(StatusModel):
    """The function served, as it was registered or adopted."""

    name: Text = Field(description="Name of the function.")
    visibility: Literal["private", "public"] = Field(description="Visibility of the function.")
    shape_types: Annotated[list[ShapeType], Field(max_length=3)] = Field(
        description="Shapes of the function."
    )
    adopted: bool = Field(
        description="Whether it was given by spec.function.id; such a function is never deleted."
    )
    user_id: int = Field(
        alias="userID",
        description="Id of the account that it was seen with.",
        json_schema_extra={"format": "int64"},
    )
    username: Text = Field(description="Name of that account.")


class AgentStatus(StatusModel):
    """Where the agent runs."""

    pod: Text = Field(description="Name of the pod.")
    node: Text | None = Field(None, description="Name of its node; absent while it is not scheduled.")
    image: Text | None = Field(None, description="Image that it runs.")
    restarts: int = Field(
        0, ge=0, description="How often its container was restarted.", json_schema_extra={"format": "int32"}
    )


class TrackerStatus(StatusModel):
    """What the operator last saw."""

    observed_generation: int | None = Field(
        None,
        description="The metadata.generation that this status tells about.",
        json_schema_extra={"format": "int64"},
    )
    function_id: FunctionID | None = Field(
        None, alias="functionID", description="Id of the function in CVAT."
    )
    model: Text | None = Field(None, description="The model, as kubectl get shows it.")
    conditions: Annotated[list[Condition], Field(max_length=16)] = Field(
        default_factory=list,
        description="Ready is true when the agent held its lease and CVAT (with interface Agent) and Redis "
        "answered it within the last 30 seconds; when it is false, its message says what to do.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    agent: AgentStatus | None = Field(None, description="Where the agent runs.")
    function: RegisteredFunction | None = Field(None, description="The function as registered or adopted.")
    registration: Registration | None = Field(None, description="A registration that is under way.")
    unanswered_requests: Annotated[list[UnansweredRequest], Field(max_length=MAX_UNANSWERED)] = Field(
        default_factory=list,
        description="Functions that CVAT was asked for and did not show in time, or made a moment ago: "
        "something on the way may have repeated the request. One that it shows later is told in "
        "duplicateFunctionIDs, also when the tracker asks for something else by then.",
    )
    given_function_ids: Annotated[list[FunctionID], Field(max_length=MAX_FUNCTIONS)] = Field(
        default_factory=list,
        alias="givenFunctionIDs",
        description="Functions that spec.function.id has named: people's own, whatever they look like.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    obsolete_function_ids: Annotated[list[FunctionID], Field(max_length=MAX_FUNCTIONS)] = Field(
        default_factory=list,
        alias="obsoleteFunctionIDs",
        description="Functions that the operator registered, replaced and has yet to delete in CVAT.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    duplicate_function_ids: Annotated[list[FunctionID], Field(max_length=MAX_FUNCTIONS)] = Field(
        default_factory=list,
        alias="duplicateFunctionIDs",
        description="Functions in CVAT that look like this tracker's but cannot be proven its own. The "
        "operator leaves them alone; delete them in CVAT.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )

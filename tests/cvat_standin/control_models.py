"""What travels through `/_standin/`: shared by the server's control routes and their client."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserSpec(_Strict):
    """A user to make; with `token`, an access token of that value too."""

    username: str = Field(pattern=r"^[\w.@+-]{1,150}$")
    password: str | None = Field(default=None, repr=False)
    token: str | None = Field(default=None, repr=False)
    email: str = ""
    superuser: bool = False


class UserChange(_Strict):
    """What to change of a user; unset is left as it is. A new password ends the user's sessions."""

    password: str | None = Field(default=None, repr=False)
    active: bool | None = None


class TokenSpec(_Strict):
    """An access token to make; a random value unless one is given."""

    name: str = "token"
    read_only: bool = False
    value: str | None = Field(default=None, repr=False)


class TokenRecord(_Strict):
    """An access token that was made."""

    id: int
    value: str = Field(repr=False)


class MemberSpec(_Strict):
    """A role in an organization."""

    role: Literal["worker", "supervisor", "maintainer", "owner"] = "worker"


class OrganizationSpec(_Strict):
    """An organization to make, with members by user name."""

    slug: str = Field(pattern=r"^[-a-zA-Z0-9_]{1,16}$")
    owner: str
    members: dict[str, Literal["worker", "supervisor", "maintainer", "owner"]] = {}


class Seed(_Strict):
    """What a server starts with (`--seed-file`)."""

    users: list[UserSpec] = []
    organizations: list[OrganizationSpec] = []


class TaskSpec(_Strict):
    """A task to make from the images of the uploaded zip archive, in the order of their names."""

    name: str = "task"
    owner: str
    organization: str | None = None
    assignees: list[str] = []
    labels: list[str] = ["object"]
    deleted_frames: list[int] = []
    chunk_size: int = Field(default=36, ge=1)
    job_size: int | None = Field(default=None, ge=1)
    from_video: bool = False
    length: int | None = Field(default=None, ge=1)
    """How many frames the task has; the images come again and again. By default as many as there are."""


class Created(_Strict):
    """The id of what was made."""

    id: int


class Assignees(_Strict):
    """Who may see a task besides its owner."""

    usernames: list[str]


class FunctionRecord(_Strict):
    """A function as the server has it, whoever may see it."""

    id: int
    name: str
    provider: str
    kind: str
    visibility: str
    supported_shape_types: list[str]
    owner: str
    organization: str | None
    listed: bool
    watchers: int
    """How many event streams of its queue are open."""


class RequestRecord(_Strict):
    """An annotation request as the server has it."""

    key: int
    """Stays the same when the request gets a new id."""
    id: str
    function_id: int
    category: Literal["interactive", "batch"]
    params: dict[str, Any]
    status: Literal["queued", "started", "finished", "failed"]
    agent_id: str | None
    handed_out: int
    """How often an agent acquired it."""
    progress: float
    exc_info: str
    result: dict[str, Any]


class RawRequest(_Strict):
    """A request put into a queue without the checks that `run` makes."""

    function_id: int
    category: Literal["interactive", "batch"] = "interactive"
    params: dict[str, Any]
    requester: str


class Forgetting(_Strict):
    """How to forget a function: its event streams end, or stay open and silent."""

    end_streams: bool = True


class StreamCut(_Strict):
    """How to end event streams: in order, or by cutting the connection."""

    abrupt: bool = False


class PuttingBack(_Strict):
    """How to offer a request again."""

    new_id: bool = False


class RedeliveryPolicy(_Strict):
    """When a request that an agent holds is handed out again; by default never."""

    after_seconds: float | None = Field(default=None, gt=0)
    new_id: bool = False
    to_same_agent: bool = False
    refusal_status: int = Field(default=404, ge=400, le=499)


class ListDelay(_Strict):
    """How long lists lack functions made from now on; None: until released."""

    seconds: float | None = Field(default=None, ge=0)


class StreamSettings(_Strict):
    """What event streams tell their watchers: `retry:` to the next ones, the rest to all."""

    retry_milliseconds: int = Field(default=5000, ge=0)
    keep_alive_seconds: float = Field(default=15.0, gt=0)
    announce: bool = True
    """Whether new requests are told of; the events are a hint, and hints get lost."""


class Advance(_Strict):
    """How far to move the server's clock."""

    seconds: float = Field(gt=0)


class FaultState(_Strict):
    """How many calls a fault has taken."""

    taken: int

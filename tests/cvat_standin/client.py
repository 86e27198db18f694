"""The typed handle on a running stand-in, in this process or in a pod: all that `/_standin/` offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import TypeAdapter

from tests.cvat_standin.accounts import Role
from tests.cvat_standin.archive import FrameImage, pack_frames
from tests.cvat_standin.control_channel import ControlChannel
from tests.cvat_standin.control_models import (
    Advance,
    Assignees,
    Forgetting,
    FunctionRecord,
    ListDelay,
    MemberSpec,
    OrganizationSpec,
    PuttingBack,
    RawRequest,
    RedeliveryPolicy,
    RequestRecord,
    StreamCut,
    StreamSettings,
    TaskSpec,
    TokenRecord,
    TokenSpec,
    UserChange,
    UserSpec,
)
from tests.cvat_standin.fault_control import FaultControl
from tests.cvat_standin.journal import LogEntry
from tests.cvat_standin.waiting import wait_for

__all__ = ["CVAT", "Account", "wait_for"]

_FUNCTIONS = TypeAdapter(list[FunctionRecord])
_REQUESTS = TypeAdapter(list[RequestRecord])
_LOG = TypeAdapter(list[LogEntry])
_COUNTERS = TypeAdapter(dict[str, int])


@dataclass(frozen=True, slots=True)
class Account:
    """A user that a test made, with what it needs to sign in."""

    id: int
    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)


class CVAT:
    """A running stand-in."""

    def __init__(self, url: str, *, ca_file: Path | None = None) -> None:
        """`ca_file` has the authority, in PEM, that vouches for an `https` address."""
        self.url = url.rstrip("/")
        self.ca_file = ca_file
        self._control = ControlChannel(self.url, ca_file)
        self.faults = FaultControl(self._control)

    def close(self) -> None:
        """Close the connections of this handle; the server goes on."""
        self._control.close()

    # People

    def add_user(self, username: str, *, superuser: bool = False, email: str = "") -> Account:
        """A user with a password and an access token."""
        password, token = f"password-of-{username}", f"token-of-{username}"
        spec = UserSpec(username=username, password=password, token=token, superuser=superuser, email=email)
        return Account(self._control.make("/users", spec), username, password, token)

    def set_password(self, username: str, password: str) -> None:
        """Change a password, which ends the user's sessions."""
        self._control.call("PATCH", f"/users/{username}", UserChange(password=password))

    def set_active(self, username: str, *, active: bool) -> None:
        """Deactivate or reactivate an account."""
        self._control.call("PATCH", f"/users/{username}", UserChange(active=active))

    def add_token(self, username: str, *, read_only: bool = False) -> str:
        """A new access token of the user."""
        answer = self._control.call("POST", f"/users/{username}/tokens", TokenSpec(read_only=read_only))
        return TokenRecord.model_validate_json(answer).value

    def revoke_tokens(self, username: str) -> None:
        """Revoke all access tokens of the user."""
        self._control.call("DELETE", f"/users/{username}/tokens")

    def end_sessions(self, username: str) -> None:
        """End all password sessions of the user."""
        self._control.call("DELETE", f"/users/{username}/sessions")

    def add_organization(self, slug: str, owner: str, members: Mapping[str, Role] | None = None) -> int:
        """A new organization; returns its id."""
        spec = OrganizationSpec(slug=slug, owner=owner, members=dict(members or {}))
        return self._control.make("/organizations", spec)

    def set_member(self, slug: str, username: str, role: Role = "worker") -> None:
        """Add a member, or change a role."""
        self._control.call("PUT", f"/organizations/{slug}/members/{username}", MemberSpec(role=role))

    def remove_member(self, slug: str, username: str) -> None:
        """Remove a member."""
        self._control.call("DELETE", f"/organizations/{slug}/members/{username}")

    # Tasks

    def add_task(
        self,
        frames: Sequence[FrameImage],
        owner: str,
        *,
        name: str = "task",
        organization: str | None = None,
        assignees: Sequence[str] = (),
        labels: Sequence[str] = ("object",),
        deleted_frames: Sequence[int] = (),
        chunk_size: int = 36,
        job_size: int | None = None,
        from_video: bool = False,
        length: int | None = None,
    ) -> int:
        """A new task; returns its id. Images that are not encoded yet become PNG.

        With a `length` the task has that many frames, of which the images are repeated.
        """
        spec = TaskSpec(
            name=name,
            owner=owner,
            organization=organization,
            assignees=list(assignees),
            labels=list(labels),
            deleted_frames=list(deleted_frames),
            chunk_size=chunk_size,
            job_size=job_size,
            from_video=from_video,
            length=length,
        )
        return self.add_task_archive(pack_frames(frames), spec)

    def add_task_archive(self, archive: bytes, spec: TaskSpec) -> int:
        """A new task from a zip archive of images; returns its id."""
        return self._control.make(f"/tasks?{urlencode({'spec': spec.model_dump_json()})}", archive)

    def assign_task(self, task_id: int, *usernames: str) -> None:
        """Say who may see the task besides its owner."""
        self._control.call("PUT", f"/tasks/{task_id}/assignees", Assignees(usernames=list(usernames)))

    # Functions and their queues

    def functions(self) -> list[FunctionRecord]:
        """All functions that exist, oldest first, whoever may see them."""
        return _FUNCTIONS.validate_json(self._control.call("GET", "/functions"))

    def function(self, function_id: int) -> FunctionRecord:
        """One function. Raises `AssertionError` if it does not exist."""
        for function in self.functions():
            if function.id == function_id:
                return function
        raise AssertionError(f"function {function_id} does not exist")

    def forget_function(self, function_id: int, *, end_streams: bool = True) -> None:
        """Lose a function; its event streams end, or stay open and silent."""
        self._control.call("POST", f"/functions/{function_id}/forget", Forgetting(end_streams=end_streams))

    def restore_function(self, function_id: int) -> None:
        """Have a lost function again under its id, with an empty queue."""
        self._control.call("POST", f"/functions/{function_id}/restore")

    def list_late(self, seconds: float | None = None) -> None:
        """Keep functions made from now on out of lists, for a time or until `release_lists`."""
        self._control.call("PUT", "/lists", ListDelay(seconds=seconds))

    def release_lists(self) -> None:
        """Show all functions in lists, and new ones at once."""
        self._control.call("POST", "/lists/release")

    def cut_streams(self, function_id: int, *, abrupt: bool = False) -> None:
        """End the event streams of a function's queue, in order or by cutting the connections."""
        self._control.call("POST", f"/functions/{function_id}/cut-streams", StreamCut(abrupt=abrupt))

    def set_streams(
        self,
        *,
        retry_milliseconds: int = 5000,
        keep_alive_seconds: float = 15.0,
        announce: bool = True,
    ) -> None:
        """Say what event streams tell; without `announce` they keep silent about new requests."""
        settings = StreamSettings(
            retry_milliseconds=retry_milliseconds, keep_alive_seconds=keep_alive_seconds, announce=announce
        )
        self._control.call("PUT", "/streams", settings)

    def set_redelivery(
        self,
        *,
        after_seconds: float | None = None,
        new_id: bool = False,
        to_same_agent: bool = False,
        refusal_status: int = 404,
    ) -> None:
        """Say when a request that an agent holds is handed out again; without arguments never (the default).

        After a time without sign of life from its agent, or on an acquire by the very agent that holds it;
        under the same id or a new one. `refusal_status` answers an agent that does not hold the request (any
        more).
        """
        policy = RedeliveryPolicy(
            after_seconds=after_seconds,
            new_id=new_id,
            to_same_agent=to_same_agent,
            refusal_status=refusal_status,
        )
        self._control.call("PUT", "/redelivery", policy)

    def put_back(self, request_id: str, *, new_id: bool = False) -> RequestRecord:
        """Take a request from its agent and offer it again at once."""
        answer = self._control.call("POST", f"/requests/{request_id}/put-back", PuttingBack(new_id=new_id))
        return RequestRecord.model_validate_json(answer)

    def requests(self, function_id: int | None = None) -> list[RequestRecord]:
        """The annotation requests of a function, or of all, oldest first."""
        records = _REQUESTS.validate_json(self._control.call("GET", "/requests"))
        return [record for record in records if function_id in {None, record.function_id}]

    def request(self, key: int) -> RequestRecord:
        """The request of that key, which stays when the id changes. Raises `AssertionError`."""
        for record in self.requests():
            if record.key == key:
                return record
        raise AssertionError(f"request {key} does not exist")

    def submit(
        self,
        function_id: int,
        params: Mapping[str, Any],
        requester: str,
        *,
        category: Literal["interactive", "batch"] = "interactive",
    ) -> RequestRecord:
        """Put anything into a queue, without the checks that `run` makes, and do not wait."""
        raw = RawRequest(function_id=function_id, category=category, params=dict(params), requester=requester)
        return RequestRecord.model_validate_json(self._control.call("POST", "/requests", raw))

    # Time and what happened

    def advance(self, seconds: float) -> None:
        """Move the server's time forward."""
        self._control.call("POST", "/clock/advance", Advance(seconds=seconds))

    def log(self, route: str | None = None) -> list[LogEntry]:
        """The calls on a route (`POST /api/functions/{id}/run`), or all, oldest first."""
        query = f"?{urlencode({'route': route})}" if route else ""
        return _LOG.validate_json(self._control.call("GET", f"/log{query}"))

    def count(self, route: str) -> int:
        """How many calls on a route came."""
        return len(self.log(route))

    def counters(self) -> dict[str, int]:
        """Calls by method, path and status."""
        return _COUNTERS.validate_json(self._control.call("GET", "/counters"))

    def wait_for_watchers(self, function_id: int, count: int = 1, *, within: float = 15.0) -> None:
        """Return once that many event streams of the function's queue are open."""
        wait_for(
            lambda: self.function(function_id).watchers == count,
            f"{count} watchers of the queue",
            within=within,
        )

    def wait_for_calls(self, route: str, count: int = 1, *, within: float = 15.0) -> list[LogEntry]:
        """The calls on a route, once that many have come, answered or not."""

        def enough() -> list[LogEntry] | None:
            entries = self.log(route)
            return entries if len(entries) >= count else None

        return wait_for(enough, f"{count} calls of {route}", within=within)

    def wait_for_request(
        self,
        function_id: int,
        status: Literal["queued", "started", "finished", "failed"],
        *,
        within: float = 15.0,
    ) -> RequestRecord:
        """The newest request of the function, once it has that status."""

        def newest() -> RequestRecord | None:
            records = self.requests(function_id)
            return records[-1] if records and records[-1].status == status else None

        return wait_for(newest, f"a {status} request of function {function_id}", within=within)

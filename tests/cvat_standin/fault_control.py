"""Setting faults on a running stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.cvat_standin.control_channel import ControlChannel
from tests.cvat_standin.control_models import FaultState
from tests.cvat_standin.faults import (
    AnswerIngress,
    AnswerStatus,
    DropReply,
    DropRequest,
    Fault,
    Redirect,
    Stall,
    Trickle,
    TruncateReply,
    When,
)


@dataclass(frozen=True, slots=True)
class ArmedFault:
    """A fault that was set."""

    id: int
    _control: ControlChannel

    def taken(self) -> int:
        """How many calls it has spoiled."""
        return FaultState.model_validate_json(self._control.call("GET", f"/faults/{self.id}")).taken

    def clear(self) -> None:
        """Remove it; whoever stalls goes on."""
        self._control.call("DELETE", f"/faults/{self.id}")


class FaultControl:
    """Makes the server misbehave. Routes are written `POST /api/functions/{id}/run`; see `faults`.

    `when="after"` does all that is asked before it fails.

    `times=None` means until cleared, `skip` lets that many calls pass first, `query` asks for query
    parameters.
    """

    def __init__(self, control: ControlChannel) -> None:
        self._control = control

    def status(
        self,
        route: str,
        status: int,
        *,
        detail: str = "The server misbehaves on request.",
        retry_after: str | None = None,
        when: When = "before",
        times: int | None = 1,
        skip: int = 0,
        query: Mapping[str, str] | None = None,
    ) -> ArmedFault:
        """Answer with this status, before doing anything or after having done it all."""
        return self._set(
            AnswerStatus(
                route=route,
                status=status,
                detail=detail,
                retry_after=retry_after,
                when=when,
                times=times,
                skip=skip,
                query=dict(query or {}),
            )
        )

    def ingress(
        self,
        route: str,
        status: int = 404,
        *,
        when: When = "before",
        times: int | None = 1,
        skip: int = 0,
    ) -> ArmedFault:
        """Answer as an ingress controller does that has no backend, or lost it: HTML."""
        return self._set(AnswerIngress(route=route, status=status, when=when, times=times, skip=skip))

    def drop_request(self, route: str, *, times: int | None = 1, skip: int = 0) -> ArmedFault:
        """Cut the connection before doing anything."""
        return self._set(DropRequest(route=route, times=times, skip=skip))

    def drop_reply(self, route: str, *, times: int | None = 1, skip: int = 0) -> ArmedFault:
        """Do what is asked, then cut the connection instead of answering."""
        return self._set(DropReply(route=route, times=times, skip=skip))

    def truncate_reply(
        self,
        route: str,
        *,
        times: int | None = 1,
        skip: int = 0,
        query: Mapping[str, str] | None = None,
    ) -> ArmedFault:
        """Do what is asked, then cut the connection in the middle of the answer."""
        return self._set(TruncateReply(route=route, times=times, skip=skip, query=dict(query or {})))

    def redirect(
        self, route: str, location: str, *, status: int = 302, times: int | None = 1, skip: int = 0
    ) -> ArmedFault:
        """Send elsewhere instead of doing what is asked."""
        return self._set(Redirect(route=route, location=location, status=status, times=times, skip=skip))

    def trickle(
        self, route: str, *, pieces: int, seconds: float, times: int | None = 1, skip: int = 0
    ) -> ArmedFault:
        """Send the answer's body in that many pieces, with a pause of real seconds before each."""
        return self._set(Trickle(route=route, pieces=pieces, seconds=seconds, times=times, skip=skip))

    def stall(
        self,
        route: str,
        *,
        seconds: float | None = None,
        when: When = "before",
        times: int | None = 1,
        skip: int = 0,
        query: Mapping[str, str] | None = None,
    ) -> ArmedFault:
        """Wait for seconds of the server's clock, or until `release`, before or after doing what is asked."""
        return self._set(
            Stall(route=route, seconds=seconds, when=when, times=times, skip=skip, query=dict(query or {}))
        )

    def release(self) -> None:
        """Let all calls that stall at this moment go on."""
        self._control.call("POST", "/faults/release")

    def clear(self) -> None:
        """Remove all faults and release who stalls."""
        self._control.call("DELETE", "/faults")

    def _set(self, fault: Fault) -> ArmedFault:
        return ArmedFault(self._control.make("/faults", fault), self._control)

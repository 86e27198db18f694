"""What a caller is told instead of an answer: a status and a sentence for the annotator."""

from __future__ import annotations

from typing import ClassVar

from sam2_operator.errors import OperatorError


class GatewayError(OperatorError):
    """The base of the family."""

    status: ClassVar[int] = 500
    result: ClassVar[str] = "failed"
    """How it is counted."""


class UnknownFunctionError(GatewayError):
    """There is no such function here."""

    status = 404
    result = "unknown"


class NotKnownError(GatewayError):
    """No tracker was listed yet."""

    status = 503
    result = "unknown"


class NotAdmittedError(GatewayError):
    """The caller did not show what CVAT is to show."""

    status = 401


class BadCallError(GatewayError):
    """The call cannot be forwarded as it is."""

    status = 400
    result = "refused"


class BusyError(GatewayError):
    """There is no room for the call now."""

    status = 503
    result = "busy"


class AgentAwayError(GatewayError):
    """The agent did not answer in the time that the caller gives."""

    status = 503
    result = "unavailable"


class TooSlowError(GatewayError):
    """The agent works on it, longer than the caller waits."""

    status = 504
    result = "timed out"


class DashboardAwayError(GatewayError):
    """Nuclio's dashboard, to which the call was passed on, does not answer."""

    status = 502

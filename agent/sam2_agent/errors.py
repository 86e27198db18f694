"""What can go wrong, as a small family.  Each message is a sentence: what happened, where, what to do.

Adapters translate at the edge and keep the cause.  Who catches what:

- `RequestRefused` ends one request; its sentence is shown to the annotator.
- `Unavailable` ends nothing: the request stays recorded and is tried again.
- `LeaseLost` and `NotOurs` mean that the request is no longer this agent's to answer.
- `DamagedRecord` means that a record counts as missing.
- `GaveUp` ends the agent; its reason and sentence become the termination message.
"""

from __future__ import annotations

from typing import ClassVar


class AgentError(Exception):
    """Whatever the agent itself raises."""


class RequestRefused(AgentError):
    """No agent could answer this request; the message is for the annotator, so it holds nothing private."""


class InvalidShape(RequestRefused):
    """A shape cannot be tracked as it is."""


class TrackLost(RequestRefused):
    """What a track goes on from is gone, and nobody can compute it again."""


class Unavailable(AgentError):
    """Something the agent needs does not answer now, or does not let it in.

    `reason` is the CamelCase word of the agent's status; `retry_after` the seconds that the other side asked
    for.
    """

    def __init__(self, message: str, *, reason: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class CVATUnavailable(Unavailable):
    """CVAT cannot be reached, fails, limits our rate, or refuses the agent's account."""


class CVATShielded(CVATUnavailable):
    """Something in front of CVAT refuses this very call; it may let others through."""


class StoreUnavailable(Unavailable):
    """Redis cannot be reached, fails, or refuses a command."""


class LeaseLost(AgentError):
    """Another agent holds the lease, or none does: nothing was written."""


class NotOurs(AgentError):
    """CVAT no longer takes an answer to this request from this agent."""


class AnswerRefused(AgentError):
    """CVAT finds fault with the answer itself; sending it again is useless."""


class DamagedRecord(AgentError):
    """Stored bytes are damaged, of another kind, another model or another version."""


class GaveUp(AgentError):
    """The agent cannot go on; the process ends and whatever runs it starts another."""

    reason: ClassVar[str] = "InternalError"
    exit_status: ClassVar[int] = 1


class InvalidSettings(GaveUp):
    """A setting is missing, unknown or makes no sense."""

    reason = "InvalidSettings"
    exit_status = 64


class ModelNotFound(GaveUp):
    """The model's files are not where the settings say."""

    reason = "ModelNotFound"


class ModelInvalid(GaveUp):
    """The files are there but are no SAM2 model."""

    reason = "ModelInvalid"


class DeviceUnavailable(GaveUp):
    """The accelerator that the settings name is not there."""

    reason = "DeviceUnavailable"


class DeviceOutOfMemory(GaveUp):
    """The accelerator has no memory left."""

    reason = "OutOfDeviceMemory"


class DeviceLost(GaveUp):
    """The accelerator failed under us."""

    reason = "DeviceLost"


class ModelEnded(DeviceLost):
    """The process that had the model and the accelerator has ended."""

    reason = "ModelEnded"

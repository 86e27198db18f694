"""What can go wrong in the agent, one class for each thing that somebody can act on.

Every error carries one plain sentence: what happened, where, and what to do.  Sentences never hold secrets.
"""

from __future__ import annotations


class AgentError(Exception):
    """The base of all errors that the agent raises itself."""


class InvalidShape(AgentError):
    """A shape cannot be tracked as it is; the sentence is for the annotator."""


class DamagedRecord(AgentError):
    """A stored record is not what was written; it counts as missing."""


class ModelNotFound(AgentError):
    """The model, its revision or its files cannot be found or reached."""


class ModelInvalid(AgentError):
    """The files are there, but are no SAM2 model that the agent can run."""


class DeviceUnavailable(AgentError):
    """The device that the settings ask for is not there."""


class DeviceOutOfMemory(AgentError):
    """The accelerator's memory does not hold even one object."""


class DeviceLost(AgentError):
    """The accelerator failed; only a new process can use it again."""

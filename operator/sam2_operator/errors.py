"""What can go wrong at the edges, translated there into sentences for conditions and logs.

Every error carries a `reason` (one word, for conditions) and reads as a sentence that says what happened,
where, and what to do. None of them contains a password or token.
"""

from __future__ import annotations


class OperatorError(Exception):
    """The base of the family."""

    reason = "InternalError"


class InvalidCertificatesError(OperatorError):
    """A CA bundle cannot be read."""

    reason = "CABundleInvalid"


class CvatError(OperatorError):
    """CVAT, or something in front of it, did not give what was asked for."""


class CvatTrustError(CvatError):
    """The CA bundle for CVAT cannot be read."""

    reason = "CABundleInvalid"


class CvatUnreachableError(CvatError):
    """No answer, or none that is known to be complete: what was asked may or may not have been done."""

    reason = "CVATUnreachable"


class NotAskedError(CvatError):
    """CVAT was slow the last time, or others wait for it already: nothing was sent."""

    reason = "CVATUnreachable"


class OthersFirstError(NotAskedError):
    """CVAT answers, but slowly, and others are answered first: nothing is known to be wrong."""


class CredentialsRefusedError(CvatError):
    """CVAT does not know the credentials (401)."""

    reason = "CredentialsRefused"


class OrganizationUnknownError(CvatError):
    """CVAT has no such organization, or the account does not belong to it."""

    reason = "OrganizationUnknown"


class ForbiddenError(CvatError):
    """The account may not do this (403)."""

    reason = "AccessDenied"


class NotFoundError(CvatError):
    """CVAT itself says that there is no such thing (its own JSON 404)."""

    reason = "FunctionNotFound"


class ForeignAnswerError(CvatError):
    """Something else than CVAT answered: an ingress, a login page, a wrong URL."""

    reason = "NotCVAT"


class RateLimitedError(CvatError):
    """CVAT asks to come back later (429)."""

    reason = "RateLimited"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds until CVAT wants to be asked again."""


class RefusedError(CvatError):
    """CVAT understood and refused (another 4xx): nothing was done."""

    reason = "RefusedByCVAT"


class StateStoreError(OperatorError):
    """Redis cannot be used."""

    reason = "RedisUnreachable"


class StateStoreRefusedError(StateStoreError):
    """Redis answers, but refuses the user, the password or a command."""

    reason = "RedisRefused"


class KubernetesError(OperatorError):
    """The API server refused or did not answer."""

    reason = "KubernetesError"


class ConflictError(KubernetesError):
    """Somebody else changed the object in between; look again."""

    reason = "Conflict"


class NamespaceTerminatingError(KubernetesError):
    """The namespace is being deleted and takes no new objects."""

    reason = "NamespaceTerminating"


class InvalidObjectError(KubernetesError):
    """The API server refuses an object: what the tracker asks for is impossible in this cluster."""

    reason = "Refused"


class GatewayKeyError(OperatorError):
    """The key by which agents know the gateway cannot be read."""

    reason = "NoGateway"


class AgentUnreachableError(OperatorError):
    """The agent's status cannot be read."""

    reason = "AgentUnreachable"

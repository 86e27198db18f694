"""What a tracker refers to: Secrets and ConfigMaps of its own namespace, read into what gives access.

A tracker can name objects only in its own namespace, so nobody gets at another namespace's credentials
through it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from sam2_operator.core.observed import (
    CvatAccess,
    PasswordCredentials,
    Problem,
    StateAccess,
    TokenCredentials,
)
from sam2_operator.errors import StateStoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sam2_operator.api.references import CABundle
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ports import SecretReader, StateStore


@dataclass(frozen=True, slots=True)
class Sources:
    """Access to CVAT and Redis, or why there is none."""

    cvat: CvatAccess | Problem | None
    """None for a serverless tracker, which needs none."""
    state: StateAccess | Problem

    @property
    def restart_digest(self) -> str | None:
        """A digest of what the agent reads only when it starts; None while it is not known.

        CVAT's credentials are no part of it: the agent reads them again when they change.
        """
        if isinstance(self.cvat, Problem) or isinstance(self.state, Problem):
            return None
        cvat_ca = self.cvat.ca_pem if self.cvat is not None else None
        parts = (cvat_ca or "", self.state.url, self.state.ca_pem or "")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class AccessMemory:
    """The access that trackers had last; safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: dict[str, Sources] = {}

    def note(self, uid: str, sources: Sources) -> Sources:
        """Take in what could be read, and give it completed by what could be read before."""
        with self._lock:
            before = self._last.get(uid, sources)
            cvat = before.cvat if isinstance(sources.cvat, Problem) else sources.cvat
            state = before.state if isinstance(sources.state, Problem) else sources.state
            self._last[uid] = Sources(cvat, state)
            return self._last[uid]

    def forget(self, uid: str) -> None:
        """Drop what is known about a tracker."""
        with self._lock:
            self._last.pop(uid, None)


class MissingError(Exception):
    """A Secret, ConfigMap or key is not there, or not readable."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class SourceReader:
    """Reads what trackers refer to."""

    secrets: SecretReader
    store: StateStore

    def read(self, tracker: Tracker) -> Sources:
        """Read all of it.

        Raises:
            KubernetesError: the API server does not answer.
        """
        try:
            cvat: CvatAccess | Problem | None = self._cvat(tracker)
        except MissingError as error:
            cvat = error.problem
        try:
            state: StateAccess | Problem = self._state(tracker)
        except MissingError as error:
            state = error.problem
        return Sources(cvat, state)

    def _cvat(self, tracker: Tracker) -> CvatAccess | None:
        spec, namespace = tracker.spec.cvat, tracker.metadata.namespace
        if spec.credentials_secret_ref is None:
            return None
        name = spec.credentials_secret_ref.name
        data = self.secrets.secret(namespace, name)
        if data is None:
            raise MissingError(
                Problem(
                    "CredentialsMissing",
                    f"There is no Secret {name} in namespace {namespace}: make it, with the key token or the "
                    "keys username and password.",
                )
            )
        return CvatAccess(
            url=spec.root,
            organization=spec.organization,
            credentials=_credentials(name, data),
            ca_pem=self._bundle(namespace, spec.ca_bundle, "spec.cvat.caBundle"),
            proxy_url=spec.proxy_url,
        )

    def _state(self, tracker: Tracker) -> StateAccess:
        spec, namespace = tracker.spec.state, tracker.metadata.namespace
        ca_pem = self._bundle(namespace, spec.ca_bundle, "spec.state.caBundle")
        if spec.url is not None:
            return StateAccess(spec.url, ca_pem)
        if spec.secret_ref is not None:
            reference = spec.secret_ref
            data = self.secrets.secret(namespace, reference.name) or {}
            if reference.key not in data:
                raise MissingError(
                    Problem(
                        "StateSecretMissing",
                        f"There is no Secret {reference.name} with the key {reference.key} in namespace "
                        f"{namespace}: make it, with the URL of Redis.",
                    )
                )
            return StateAccess(_text(data[reference.key]).strip(), ca_pem)
        try:
            managed = self.store.managed(tracker.metadata.uid)
        except StateStoreError as error:
            raise MissingError(Problem(error.reason, str(error))) from error
        if managed is None:
            raise MissingError(
                Problem(
                    "NoStateStore",
                    "The operator was installed without a Redis: give spec.state.url or "
                    "spec.state.secretRef.",
                )
            )
        return managed

    def _bundle(self, namespace: str, bundle: CABundle | None, field: str) -> str | None:
        if bundle is None:
            return None
        if bundle.secret_key_ref is not None:
            kind, reference = "Secret", bundle.secret_key_ref
            data = self.secrets.secret(namespace, reference.name) or {}
        elif bundle.config_map_key_ref is not None:
            kind, reference = "ConfigMap", bundle.config_map_key_ref
            data = self.secrets.config_map(namespace, reference.name) or {}
        else:
            return None
        if reference.key not in data:
            raise MissingError(
                Problem(
                    "CABundleMissing",
                    f"{field} names the key {reference.key} of the {kind} {reference.name}, which does not "
                    f"exist in namespace {namespace}.",
                )
            )
        return _text(data[reference.key])


def _credentials(name: str, data: Mapping[str, bytes]) -> TokenCredentials | PasswordCredentials:
    token, username, password = (
        _text(data.get(key, b"")).strip() for key in ("token", "username", "password")
    )
    if token:
        return TokenCredentials(token)
    if username and password:
        return PasswordCredentials(username, password)
    raise MissingError(
        Problem(
            "CredentialsMissing",
            f"The Secret {name} has neither the key token nor the keys username and password: add them.",
        )
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")

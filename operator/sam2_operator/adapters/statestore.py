"""Redis: the one installed with the operator, where each tracker gets a user of its own, and users' own.

A tracker's password is derived from the administrator's, so that it can always be made again and is stored
nowhere but in the Secret that its agent mounts. Connections are kept and shared, so that looking at a tracker
costs Redis no more than the commands.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import redis

from sam2_operator.adapters.purge import Purge
from sam2_operator.adapters.redis_clients import RedisClients
from sam2_operator.core.naming import key_prefix, state_user
from sam2_operator.core.observed import StateAccess

if TYPE_CHECKING:
    from collections.abc import Callable

_PURGE_SECONDS = 10.0
"""How long one call may delete keys: many calls may be needed, and others want the thread in between."""

COMMANDS = (
    *("get", "set", "del", "incr", "pttl", "pexpire", "getex"),
    *("hset", "hgetall", "hdel", "hlen"),
    *("evalsha", "script|load"),
)
"""What an agent uses, and nothing else: `sam2_agent.adapters.redis_store.COMMANDS`."""

_RULES = ["-@all", "+ping", *(f"+{command}" for command in COMMANDS)]
"""With PING the operator asks in the tracker's name."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """How the operator reaches the Redis that it was installed with."""

    url: str
    password: Callable[[], str | None]
    """Reads the password, which may be rotated while the operator runs; None when the URL says all."""
    ca_pem: Callable[[], str | None]
    manages_users: bool


class RedisStateStore:
    """The port `StateStore`; safe to use from several threads."""

    def __init__(
        self, administrator: Administrator | None, *, purge_seconds: float = _PURGE_SECONDS, slots: int = 2
    ) -> None:
        self._administrator = administrator
        self._purge = Purge(purge_seconds)
        self._canonical_rules: str | None = None
        self._clients = RedisClients(slots=slots)

    def managed(self, uid: str) -> StateAccess | None:
        """Give a tracker's own access to the Redis installed with the operator; None if there is none."""
        administrator = self._administrator
        if administrator is None or not administrator.manages_users:
            return None
        user = state_user(uid)
        url = _with_login(administrator.url, user, self._password(administrator, uid))
        return StateAccess(url, administrator.ca_pem(), managed_user=user)

    def ensure_user(self, uid: str) -> None:
        """Make the tracker's user what it should be; a user that is right is only read."""
        administrator = self._administrator
        if administrator is None or not administrator.manages_users:
            return
        user, prefix = state_user(uid), key_prefix(uid)
        password = self._password(administrator, uid)
        digest = hashlib.sha256(password.encode()).hexdigest()
        with self._clients.looking_at(self._admin_access(administrator)) as client:
            found = _acl(client, "GETUSER", user)
            if found is not None and self._is_right(_pairs(found), digest, prefix):
                return
            _acl(client, "SETUSER", user, "reset", "on", f"#{digest}", f"~{prefix}*", f"&{prefix}*", *_RULES)
            made = _pairs(_acl(client, "GETUSER", user))
            self._canonical_rules = str(made.get("commands"))
            _save(client)

    def ping(self, access: StateAccess) -> None:
        """Ask Redis for a sign of life, as the tracker's agent would."""
        with self._clients.looking_at(access) as client:
            client.ping()

    def forget_user(self, uid: str) -> None:
        """Delete the tracker's user, if there is one; its keys stay until they expire."""
        administrator = self._administrator
        if administrator is None or not administrator.manages_users:
            return
        with self._clients.connected(self._admin_access(administrator)) as client:
            _delete_user(client, state_user(uid))

    def purge(self, access: StateAccess, prefix: str) -> bool:
        """Delete a tracker's user, then its keys for a bounded time; give whether none is left."""
        administrator = self._administrator
        if access.managed_user is not None and administrator is not None:
            with self._clients.connected(self._admin_access(administrator)) as client:
                _delete_user(client, access.managed_user)
                return self._purge.go(administrator.url, client, prefix)
        with self._clients.connected(access) as client:
            return self._purge.go(access.url, client, prefix)

    def close(self) -> None:
        """Close all connections."""
        self._clients.close()

    def _is_right(self, found: dict[str, Any], digest: str, prefix: str) -> bool:
        """Compare with what is wanted; how Redis writes the rules is known only after they were set once."""
        return (
            found.get("passwords") == [digest]
            and "on" in found.get("flags", [])
            and found.get("keys") in (f"~{prefix}*", [f"{prefix}*"])
            and found.get("channels") in (f"&{prefix}*", [f"{prefix}*"])
            and found.get("commands") == self._canonical_rules
        )

    @staticmethod
    def _password(administrator: Administrator, uid: str) -> str:
        secret = administrator.password() or urlsplit(administrator.url).password or ""
        return hmac.new(secret.encode(), uid.encode(), hashlib.sha256).hexdigest()

    @staticmethod
    def _admin_access(administrator: Administrator) -> StateAccess:
        password = administrator.password()
        url = administrator.url
        if password is not None:
            url = _with_login(url, urlsplit(url).username or "default", password)
        return StateAccess(url, administrator.ca_pem())


def _acl(client: Any, *arguments: str) -> Any:
    return client.execute_command("ACL", *arguments)


def _delete_user(client: redis.Redis, user: str) -> None:
    if _acl(client, "DELUSER", user):
        _save(client)


def _save(client: redis.Redis) -> None:
    """Let the users outlive a restart of Redis, where it keeps them in a file."""
    try:
        _acl(client, "SAVE")
    except redis.ResponseError:
        return  # no file: the users are made again by the next reconcile


def _pairs(answer: Any) -> dict[str, Any]:
    if isinstance(answer, dict):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _with_login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"))

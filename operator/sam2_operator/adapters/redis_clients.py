"""Clients of Redis, kept and shared; what goes wrong with them as sentences.

A URL may come from a Secret that a user wrote: it must not make the operator open files or sockets of its
own, nor tell what an address answers that is no Redis.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sam2_operator.adapters.guarded import ForbiddenAddressError, addresses_of, require_allowed
from sam2_operator.adapters.tls import tls_context
from sam2_operator.core.bulkhead import Bulkhead, OccupiedError
from sam2_operator.errors import StateStoreError, StateStoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sam2_operator.core.observed import StateAccess

_SECONDS = 5.0
_SLOW_SECONDS = 2.5
"""A Redis that was silent for as long keeps a thread from others."""
_MAX_CLIENTS = 256
_SCHEMES = frozenset({"redis", "rediss"})
_OPTIONS = frozenset({"db", "protocol", "ssl_cert_reqs", "ssl_check_hostname"})
"""Of a URL's query; others name files, or replace what is set here."""


class RedisClients:
    """A client for each access, with its pool of connections; safe to use from several threads."""

    def __init__(self, *, slots: int = 2, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Let `slots` threads wait together for those that were silent the last time."""
        self._lock = Lock()
        self._clients: OrderedDict[StateAccess, redis.Redis] = OrderedDict()
        self._bulkhead = Bulkhead(monotonic, slow_seconds=_SLOW_SECONDS, slots=slots, failures_only=True)
        self._silent: OrderedDict[str, str] = OrderedDict()
        """What was told of a Redis that did not answer the last time."""

    @contextmanager
    def looking_at(self, access: StateAccess) -> Iterator[redis.Redis]:
        """Lend a client for a look, of which no more threads wait than others can spare."""
        self._of(access)  # a URL that is none is told as such
        where = _without_login(access.url)
        try:
            with self._bulkhead.passing(where), self.connected(access) as client:
                yield client
        except OccupiedError as error:
            words = self._silent.get(where)
            raise StateStoreError(
                words or f"Redis at {where} answers slowly; it is asked again when others were answered."
            ) from error
        except StateStoreError as error:
            with self._lock:
                self._silent[where] = str(error)
                if len(self._silent) > _MAX_CLIENTS:
                    self._silent.popitem(last=False)
            raise

    @contextmanager
    def connected(self, access: StateAccess) -> Iterator[redis.Redis]:
        """Lend a client and translate what goes wrong."""
        client = self._of(access)
        where = _without_login(access.url)
        try:
            yield client
        except redis.BusyLoadingError as error:
            raise StateStoreError(f"Redis at {where} is loading its data; it is tried again.") from error
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise StateStoreRefusedError(
                f"Redis at {where} refuses the user or password: {error}. Correct the URL in the Secret."
            ) from error
        except redis.ResponseError as error:
            raise StateStoreRefusedError(f"Redis at {where} refuses: {error}.") from error
        except ForbiddenAddressError as error:
            raise StateStoreError(f"Redis cannot be used: {error}.") from error
        except redis.exceptions.InvalidResponse as error:
            # Its text quotes what came, which is not Redis's.
            raise StateStoreError(f"What answers at {where} is not Redis: correct its URL.") from error
        except UnicodeError as error:
            # What encodes names for the DNS says so of one with an empty or too long part.
            raise StateStoreError(f"The host in {where} is none: correct the URL of Redis.") from error
        except (redis.RedisError, OSError, ssl.SSLError) as error:
            raise StateStoreError(
                f"Redis at {where} does not answer: {error}. Check that it runs, its address and network "
                "policies."
            ) from error

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            clients, self._clients = self._clients, OrderedDict()
        for client in clients.values():
            client.close()

    def _of(self, access: StateAccess) -> redis.Redis:
        """Give the client of an access; the least recently used are closed when there are many."""
        with self._lock:
            client = self._clients.pop(access, None) or _client(access)
            self._clients[access] = client
            surplus = [self._clients.popitem(last=False)[1]] if len(self._clients) > _MAX_CLIENTS else []
        for old in surplus:
            old.close()
        return client


def _client(access: StateAccess) -> redis.Redis:
    options: dict[str, Any] = {}
    if access.ca_pem:
        tls_context(access.ca_pem)  # a bundle that cannot be read is told as such
        if not access.url.startswith("rediss://"):
            raise StateStoreError(
                "There are certificates for Redis, but its URL is without TLS: begin it with rediss://, or "
                "remove the certificates."
            )
        options = {"ssl_ca_data": access.ca_pem}
    try:
        _require_plain(access.url)
        client = redis.Redis.from_url(
            access.url,
            decode_responses=True,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            # For a kept connection that broke meanwhile; the rest is the driver's.
            retry=Retry(NoBackoff(), 1),
            **options,
        )
        pool = client.connection_pool
        pool.connection_class = _GUARDED[pool.connection_class]
        pool.make_connection()  # connects to nothing yet, but reads all of the URL
    except (ValueError, TypeError) as error:
        raise StateStoreError(
            "The URL of Redis is none: it must be redis:// or rediss://, a host, and no unknown options."
        ) from error
    return client


def _require_plain(url: str) -> None:
    """Refuse a URL that reaches into the operator's own container; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or {name for name, _ in parse_qsl(parts.query)} - _OPTIONS:
        raise ValueError(parts.scheme)


class _GuardedConnection(redis.Connection):
    def _connect(self) -> Any:
        return _checked(self, super()._connect)


class _GuardedTLSConnection(redis.SSLConnection):
    def _connect(self) -> Any:
        return _checked(self, super()._connect)


_GUARDED: dict[Any, Any] = {
    redis.Connection: _GuardedConnection,
    redis.SSLConnection: _GuardedTLSConnection,
}


def _checked(connection: Any, connect: Callable[[], socket.socket]) -> socket.socket:
    """Connect, if it may be; before a byte is sent (see `guarded`)."""
    require_allowed(connection.host, addresses_of(connection.host, connection.port))
    connected = connect()
    try:
        require_allowed(connection.host, [str(connected.getpeername()[0])])
    except (ForbiddenAddressError, OSError):
        connected.close()
        raise
    return connected


def _without_login(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that is none"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))

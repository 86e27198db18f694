"""Connections that never end at a cloud's metadata service, whatever a URL or the DNS says.

Whoever may make a tracker chooses where the operator sends requests. Link-local addresses serve a node its
credentials and nobody a CVAT. Names are looked up before connecting, so that nothing is sent there, and the
address is looked at again once connected: a name may mean another address the second time (DNS rebinding).
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Iterable

_METADATA = frozenset(
    ip_address(address) for address in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
"""Of clouds whose metadata services are not link-local: AWS over IPv6, Alibaba, Azure, Oracle."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""By which hosts with IPv6 only reach those with IPv4 (RFC 6052); a DNS64 gives such addresses for names."""


class ForbiddenAddressError(HTTPError):
    """A host is at an address that the operator never connects to."""


def require_allowed(host: str, addresses: Iterable[str]) -> None:
    """Check where a host is.

    Raises:
        ForbiddenAddressError: one of its addresses is link-local or a cloud's metadata service.
    """
    for address in addresses:
        if _is_forbidden(ip_address(address.partition("%")[0])):
            raise ForbiddenAddressError(f"{host} is at {address}, to which the operator never connects")


def _is_forbidden(address: IPv4Address | IPv6Address) -> bool:
    plain = (_inner(address) if isinstance(address, IPv6Address) else None) or address
    return plain.is_link_local or plain in _METADATA


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Give the IPv4 address that is reached by way of this one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def addresses_of(host: str, port: int) -> list[str]:
    """Give the addresses of a host; none where it is not known, which connecting will tell."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(address[0]) for *_, address in found]


class _GuardedConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        require_allowed(self.host, addresses_of(self.host, self.port))
        connected = super()._new_conn()
        try:
            require_allowed(self.host, [str(connected.getpeername()[0])])
        except (ForbiddenAddressError, OSError):
            connected.close()
            raise
        return connected


class _GuardedTLSConnection(_GuardedConnection, HTTPSConnection):
    pass


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _GuardedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


GUARDED_POOLS = {"http": _GuardedPool, "https": _GuardedTLSPool}
"""For `pool_classes_by_scheme` of a `PoolManager`; where there is a proxy, its address is looked at."""

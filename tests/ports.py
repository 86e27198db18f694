"""Ports for servers of tests, which may be down for a while and come back on the same port."""

from __future__ import annotations

import secrets
import socket

PORTS = range(12_000, 32_000)
"""Below those that Linux gives to outgoing connections."""


def free_port() -> int:
    """A port that nobody listens on now, and that no connection is given by chance while a server is down."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def free_ports(count: int) -> list[int]:
    """So many of them, all different."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)

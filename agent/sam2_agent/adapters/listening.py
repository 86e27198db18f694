"""Opening a port."""

from __future__ import annotations

import socket

from sam2_agent.errors import InvalidSettings


def listen(port: int, setting: str) -> socket.socket:
    """Open one port for IPv4 and IPv6, where there is IPv6; a free one for 0.

    Raises:
        InvalidSettings: it cannot be had; `setting` is the variable to change.
    """
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise InvalidSettings(
            f"Port {port} cannot be used ({error.strerror}); set {setting} to a free one."
        ) from error

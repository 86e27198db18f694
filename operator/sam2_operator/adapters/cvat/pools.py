"""Connections to CVAT: with certificates of one's own, through proxies, guarded, without retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import make_headers

from sam2_operator.adapters.bounded import BoundedPools, BoundedProxyPools, Bounds
from sam2_operator.adapters.guarded import GUARDED_POOLS
from sam2_operator.adapters.tls import tls_context

if TYPE_CHECKING:
    from sam2_operator.core.observed import CvatAccess

_POOL_SIZE = 2
_MAX_BYTES = 8 << 20
_MAX_SECONDS = 30.0
"""Of a whole answer: below the settle time of a registration."""


def connection_pools(access: CvatAccess, monotonic: Callable[[], float]) -> BoundedPools | BoundedProxyPools:
    """Give pools for a CVAT: through its own proxy, or that which HTTP_PROXY, HTTPS_PROXY and NO_PROXY say.

    Raises:
        InvalidCertificatesError: the certificates cannot be read.
    """
    context = tls_context(access.ca_pem)
    proxy = access.proxy_url or _environments_proxy(access.url)
    bounds = Bounds(_MAX_BYTES, _MAX_SECONDS, monotonic)
    pools = (
        BoundedProxyPools(
            proxy,
            bounds=bounds,
            maxsize=_POOL_SIZE,
            retries=False,
            ssl_context=context,
            proxy_headers=_login(proxy),
        )
        if proxy
        else BoundedPools(bounds=bounds, maxsize=_POOL_SIZE, retries=False, ssl_context=context)
    )
    pools.pool_classes_by_scheme = GUARDED_POOLS
    return pools


def _environments_proxy(url: str) -> str | None:
    target = urlsplit(url)
    return None if proxy_bypass(target.hostname or "") else getproxies().get(target.scheme)


def _login(proxy: str) -> dict[str, str] | None:
    """Give the header for a proxy whose URL holds a login, as an administrator's environment may."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return dict(make_headers(proxy_basic_auth=login))

"""Connections to CVAT: with certificates of one's own, through proxies, without retries."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from sam2_operator.adapters.bounded import BoundedPools, BoundedProxyPools, Bounds
from sam2_operator.adapters.tls import tls_context

_POOL_SIZE = 2
_MAX_BYTES = 8 << 20
_MAX_SECONDS = 30.0
"""Of a whole answer: below the settle time of a registration."""


def connection_pools(
    url: str, ca_pem: str | None, monotonic: Callable[[], float]
) -> BoundedPools | BoundedProxyPools:
    """Give pools for a URL, through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY say.

    Raises:
        InvalidCertificatesError: the certificates cannot be read.
    """
    context = tls_context(ca_pem)
    target = urlsplit(url)
    proxy = None if proxy_bypass(target.hostname or "") else getproxies().get(target.scheme)
    bounds = Bounds(_MAX_BYTES, _MAX_SECONDS, monotonic)
    if proxy:
        return BoundedProxyPools(proxy, bounds=bounds, maxsize=_POOL_SIZE, retries=False, ssl_context=context)
    return BoundedPools(bounds=bounds, maxsize=_POOL_SIZE, retries=False, ssl_context=context)

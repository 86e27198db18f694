"""Connections to CVAT: with certificates of one's own, through proxies, and without retries."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from sam2_operator.adapters.tls import tls_context

_POOL_SIZE = 2


def connection_pools(url: str, ca_pem: str | None) -> urllib3.PoolManager:
    """Give pools for a URL, through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY say.

    Raises:
        InvalidCertificatesError: the certificates cannot be read.
    """
    context = tls_context(ca_pem)
    target = urlsplit(url)
    proxy = None if proxy_bypass(target.hostname or "") else getproxies().get(target.scheme)
    if proxy:
        return urllib3.ProxyManager(proxy, maxsize=_POOL_SIZE, retries=False, ssl_context=context)
    return urllib3.PoolManager(maxsize=_POOL_SIZE, retries=False, ssl_context=context)

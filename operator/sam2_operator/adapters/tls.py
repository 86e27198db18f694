"""Which certificates are trusted."""

from __future__ import annotations

import ssl

from sam2_operator.errors import InvalidCertificatesError


def tls_context(ca_pem: str | None) -> ssl.SSLContext:
    """Give a context that trusts the public certificates and those given.

    Raises:
        InvalidCertificatesError: the certificates cannot be read.
    """
    context = ssl.create_default_context()
    if ca_pem:
        try:
            context.load_verify_locations(cadata=ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidCertificatesError(
                "The CA bundle holds no certificate in PEM format: correct the key that caBundle names."
            ) from error
    return context

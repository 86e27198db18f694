"""What a tracker refers to by URL or by name: the parts that several fields share."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sam2_operator.api.base import ApiModel, DataKey, ObjectName, configured, rules


class LocalObjectReference(ApiModel):
    """An object in the tracker's own namespace."""

    name: ObjectName = Field(description="Name of the object.")


class KeyReference(ApiModel):
    """One key of a Secret or ConfigMap in the tracker's own namespace."""

    name: ObjectName = Field(description="Name of the object.")
    key: DataKey = Field(description="Key in its data.")


_ONE_CA = (
    "has(self.configMapKeyRef) != has(self.secretKeyRef)",
    "give exactly one of configMapKeyRef and secretKeyRef",
)


_HOST = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)"
_PORT = "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6([0-4][0-9]{3}|5([0-4][0-9]{2}|5([0-2][0-9]|3[0-5])))))?"


def url_rules(schemes: tuple[str, ...], advice: str, path: str = "(/[!-~]*)?") -> dict[str, Any]:
    """Give the CEL rules of a URL without login, query and fragment; say where a login belongs.

    Stricter than RFC 3986, where Python's and Go's readers of URLs differ: the host is a name or an address,
    `path` a regular expression.
    """
    beginnings = " or ".join(f"{scheme}://" for scheme in schemes)
    listed = ", ".join(f"'{scheme}'" for scheme in schemes)
    return rules(
        (
            f"isURL(self) && url(self).getScheme() in [{listed}] && url(self).getHostname() != ''",
            f"must be a URL that begins with {beginnings} and names a host",
        ),
        ("!self.contains('@')", f"must not contain a user name or password: {advice}"),
        ("!self.contains('?') && !self.contains('#')", "must have neither a query (?) nor a fragment (#)"),
        (
            f"self.matches(r'^[a-z]+://{_HOST}{_PORT}{path}$')",
            "must have a host name or address, a port of 1 to 65535 or none, and a path without spaces",
        ),
    )


class CABundle(ApiModel):
    """Certificates, PEM encoded, to trust in addition to the public ones."""

    model_config = configured(_ONE_CA)

    config_map_key_ref: KeyReference | None = Field(
        None, description="A key of a ConfigMap in this namespace."
    )
    secret_key_ref: KeyReference | None = Field(None, description="A key of a Secret in this namespace.")

"""What every model of the API shares: naming, strictness, CEL rules, and the string types of Kubernetes.

Every string, list and map has an upper bound: the API server estimates the cost of CEL rules from them, and
an object with bounded fields fits into etcd.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """A part of the resource: camelCase outside, snake_case inside, strict and immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Give the JSON schema extension for CEL rules: an expression and the sentence for when it is false."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def configured(*pairs: tuple[str, str], **extensions: Any) -> ConfigDict:
    """Give the model configuration of an `ApiModel` with CEL rules and schema extensions of its own."""
    extra: dict[str, Any] = dict(extensions)
    if pairs:
        extra |= rules(*pairs)
    return ConfigDict(json_schema_extra=extra)


DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[mkMGTPE]|[eE][-+]?[0-9]{1,2})?$"
QUALIFIED_NAME = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
SHORT_PREFIX = r"^[^/]{1,253}(/|$)"
"""What QUALIFIED_NAME cannot say as well: the DNS name before the slash has at most 253 characters."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$")]
QuantityText = Annotated[str, Field(min_length=1, max_length=64, pattern=QUANTITY)]
LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=QUALIFIED_NAME,
        json_schema_extra={"allOf": [{"pattern": SHORT_PREFIX}]},
    ),
]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Duration = Annotated[
    str, Field(min_length=2, max_length=16, pattern=r"^([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$")
]

Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": QUANTITY,
            "maxLength": 64,
            **rules(
                (
                    (
                        "type(self) == int ? self >= 0 : "
                        "isQuantity(self) && !quantity(self).isLessThan(quantity('0'))"
                    ),
                    "must be a quantity of zero or more",
                )
            ),
        }
    ),
]

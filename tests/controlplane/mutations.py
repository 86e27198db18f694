"""Changes of a tracker, one for each field of the CRD: from a spec A to a spec B that differs in that field.

Generated from the schema, so that a new field is covered by itself. Where the schema does not say which
values are good (rules in CEL, or of Kubernetes), the tables at the end do; a field that needs an entry there
and has none is an error.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = Any
_ABSENT = object()


class UnknownFieldError(Exception):
    """No values are known for a field."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """Two specs, laid over the usual one, that differ in one field."""

    path: str
    what: str
    a: dict[str, Json]
    b: dict[str, Json]

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def mutations(spec: Json) -> Iterator[Mutation]:
    """Give the changes of all fields of a structural schema.

    Raises:
        UnknownFieldError: values must be written down for a field.
    """
    for path, node, required in fields(spec):
        one, two = values(path, node)
        optional = not required and "default" not in node
        if optional:
            yield Mutation(path, "set", spec_with(spec, path, _ABSENT), spec_with(spec, path, one))
        if one != two and (not optional or node.get("type") != "object"):
            yield Mutation(path, "changed", spec_with(spec, path, one), spec_with(spec, path, two))


def fields(node: Json, path: str = "") -> Iterator[tuple[str, Json, bool]]:
    """Give all fields, with whether the parent needs them."""
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, child, name in node.get("required", [])
        yield from fields(child, here)
    if "items" in node:
        yield f"{path}[]", node["items"], True
        yield from fields(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield f"{path}{{}}", node["additionalProperties"], True


def values(path: str, node: Json) -> tuple[Json, Json]:
    """Give two good values of a field, the first of them the default, if there is one."""
    known = _entry(_VALUES, path)
    if known is not None:
        return known[0], known[1]
    if "enum" in node:
        default = node.get("default", node["enum"][0])
        return default, next(each for each in node["enum"] if each != default)
    if node.get("type") == "object":
        filled = _filled(path, node)
        return filled, filled
    if node.get("type") == "array":
        one, two = values(f"{path}[]", node["items"])
        return [one], [two]
    return _scalars(path, node)


def _scalars(path: str, node: Json) -> tuple[Json, Json]:
    if node.get("type") == "boolean":
        return node.get("default", False), not node.get("default", False)
    if node.get("type") == "integer":
        least = node.get("minimum", 0)
        return least, least + 1
    if node.get("x-kubernetes-int-or-string"):
        return 1, 2
    if "x-kubernetes-validations" not in node:
        for pair in (("one", "two"), ("1Gi", "2Gi")):
            if all(re.search(node.get("pattern", ""), each) for each in pair):
                return node.get("default", pair[0]), pair[1]
    raise UnknownFieldError(f"{path}: write down two good values for it in {__name__}")


def _filled(path: str, node: Json) -> Json:
    """Give an object with all that it needs."""
    known = _entry(_FILLED, path)
    if known is not None:
        return deepcopy(known)
    if isinstance(node.get("additionalProperties"), dict):
        key = _entry(_KEYS, path) or "one"
        return {key: values(f"{path}{{}}", node["additionalProperties"])[0]}
    properties = node.get("properties", {})
    return {
        name: values(f"{path}.{name}".lstrip("."), properties[name])[0] for name in node.get("required", [])
    }


def spec_with(schema: Json, path: str, value: Json) -> dict[str, Json]:
    """Give a spec in which the field has the value, and all around it is as it must be."""
    steps = re.findall(r"[^.\[{]+|\[\]|\{\}", path)
    alone = value is _ABSENT and path in _TOGETHER
    context = {} if alone else _entry(_CONTEXTS, f"{path}={value}") or _entry(_CONTEXTS, path) or {}
    spec: dict[str, Json] = _merged(_placed(schema, "", steps, value), context)
    return spec


def _placed(node: Json, path: str, steps: list[str], value: Json) -> Json:
    if not steps:
        return deepcopy(value)
    step, *rest = steps
    if step == "[]":
        return [_placed(node["items"], f"{path}[]", rest, value)]
    if step == "{}":
        return {_entry(_KEYS, path) or "one": value}
    filled = _filled(path, node) if path else {}
    below = f"{path}.{step}".lstrip(".")
    if not rest and value is _ABSENT:
        filled.pop(step, None)
        return {**filled, **deepcopy(_entry(_WITHOUT, below) or {})}
    for other in _entry(_INSTEAD_OF, below) or ():
        filled.pop(other, None)
    return {**filled, step: _placed(node["properties"][step], below, rest, value)}


def _merged(spec: Json, context: Json) -> Json:
    """Add what the context has and the spec has not."""
    if isinstance(spec, dict) and isinstance(context, dict):
        return {**context, **{key: _merged(each, context.get(key)) for key, each in spec.items()}}
    return spec


def _entry(table: dict[str, Any], path: str) -> Any:
    """Find a path's entry, by its end: parts of the schema are used in several places."""
    return next((entry for pattern, entry in table.items() if re.search(f"(^|\\.){pattern}$", path)), None)


_KEY = {"name": "one", "key": "one"}
_REQUIREMENT = {"key": "one", "operator": "In", "values": ["1"]}
_ON_A_VOLUME = {
    "model": {"id": None, "config": "one.yaml", "checkpoint": "one.pt", "volume": {"claimName": "one"}}
}
_SERVERLESS = {"interface": "Serverless", "url": None, "credentialsSecretRef": None}
_CLAIMS = [{"name": name, "resourceClaimName": name} for name in ("one", "two")]

_VALUES: dict[str, tuple[Json, Json]] = {
    r"cvat\.url": ("http://127.0.0.1:9", "http://127.0.0.1:10"),
    r"cvat\.organization": ("", "lab"),
    r"cvat\.proxyUrl": ("http://127.0.0.1:<proxy port>", "http://localhost:<proxy port>"),
    r"function\.name": ("one", "two"),
    r"function\.shapeTypes": (["mask", "polygon"], ["mask"]),
    r"function\.id": ("<first function>", "<second function>"),
    r"model\.id": ("facebook/sam2.1-hiera-tiny", "facebook/sam2.1-hiera-large"),
    r"model\.config": ("one.yaml", "two.yaml"),
    r"model\.checkpoint": ("one.pt", "two.pt"),
    r"model\.device": ("cuda", "cpu"),
    r"volumeClaimTemplate\.size": ("1Gi", "2Gi"),
    r"ephemeral\.sizeLimit": ("10Gi", "5Gi"),
    r"state\.url": ("redis://<redis>/1", "redis://<redis>/2"),
    r"state\.ttl": ("8h", "4h"),
    r"state\.memoryTTL": ("15m", "5m"),
    r"env\[\]\.name": ("ONE", "TWO"),
    r"matchFields\[\]\.key": ("metadata.name", "metadata.name"),
    r"(matchFields|matchExpressions)\[\]\.values": (["1"], ["2"]),
    r"(matchFields|matchExpressions)\[\]\.operator": ("In", "NotIn"),
}
"""Good values where the schema alone does not tell."""

_FILLED: dict[str, Json] = {
    r"caBundle": {"configMapKeyRef": _KEY},
    r"model": {"id": "facebook/sam2.1-hiera-tiny", "device": "cpu"},
    r"cvat": {"credentialsSecretRef": {"name": "one"}},
    r"model\.cache": {"ephemeral": {}},
    r"valueFrom": {"secretKeyRef": _KEY},
    r"tolerations\[\]": {"key": "one", "effect": "NoExecute"},
    r"resourceClaims\[\]": {"name": "one", "resourceClaimName": "one"},
    r"matchExpressions\[\]": _REQUIREMENT,
    r"matchFields\[\]": {**_REQUIREMENT, "key": "metadata.name"},
}
"""Objects of which not any part may be left out."""

_INSTEAD_OF: dict[str, tuple[str, ...]] = {
    r"caBundle\.secretKeyRef": ("configMapKeyRef",),
    r"cache\.persistentVolumeClaim": ("ephemeral",),
    r"cache\.volumeClaimTemplate": ("ephemeral",),
    r"valueFrom\.configMapKeyRef": ("secretKeyRef",),
    r"resourceClaims\[\]\.resourceClaimTemplateName": ("resourceClaimName",),
    r"model\.(volume|config|checkpoint)": ("id",),
    r"cvat\.interface": ("credentialsSecretRef",),
}
"""Fields that exclude others."""

_WITHOUT: dict[str, Json] = {
    r"model\.id": _ON_A_VOLUME["model"],
    r"cvat\.(url|credentialsSecretRef)": _SERVERLESS,
    r"caBundle\.configMapKeyRef": {"secretKeyRef": _KEY},
    r"cache\.ephemeral": {"persistentVolumeClaim": {"claimName": "one"}},
    r"valueFrom\.secretKeyRef": {"configMapKeyRef": _KEY},
    r"resourceClaims\[\]\.resourceClaimName": {"resourceClaimTemplateName": "one"},
    r"tolerations\[\]\.key": {"operator": "Exists"},
    r"matchExpressions\[\]\.values": {"operator": "Exists"},
}
"""What must be there where a field is not."""

_TOGETHER = {"model.volume", "model.config", "model.checkpoint"}
"""Fields of which all are there or none."""

_KEYS: dict[str, str] = {r"resources\.(limits|requests)": "cpu"}
"""Keys of maps that cannot be just any."""

_CONTEXTS: dict[str, Json] = {
    r"cvat\.interface=Serverless": {"cvat": _SERVERLESS},
    r"model\.(volume|config|checkpoint).*": _ON_A_VOLUME,
    r"state\.caBundle.*": {"state": {"url": "redis://<redis>/1"}},
    r"resources\.claims.*": {"agent": {"resourceClaims": _CLAIMS}},
    r"volumeClaimTemplate\.size": {
        "model": {"cache": {"volumeClaimTemplate": {"storageClassName": "growing"}}}
    },
}
"""What a field needs elsewhere, always or with one value."""

"""Pydantic's JSON schema turned into a structural schema, the dialect of OpenAPI v3 that Kubernetes accepts.

Structural schemas know no `$ref`, no `additionalProperties: false` (the API server prunes or refuses unknown
fields by itself), no pattern for the keys of a map, and no `null` beside a type: an optional field is one
that is absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from sam2_operator.api.base import SHORT_PREFIX

if TYPE_CHECKING:
    from pydantic import BaseModel

Json: TypeAlias = Any  # a JSON schema is a tree of arbitrary depth

_VERBATIM = frozenset({"x-kubernetes-validations", "enum", "required", "default"})
_FIRST = ("description", "type")
_DROPPED = frozenset({"title", "$defs", "propertyNames"})


def structural_schema(model: type[BaseModel]) -> dict[str, Json]:
    """Give the structural schema of a model.

    Raises:
        ValueError: the model uses a union that Kubernetes cannot express.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, schema.get("$defs", {}))


def _convert(node: dict[str, Json], definitions: dict[str, Json]) -> dict[str, Json]:
    node = _resolve(node, definitions)
    result: dict[str, Json] = {}
    for key, value in node.items():
        if (
            key in _DROPPED
            or (key == "additionalProperties" and value is False)
            or (key == "default" and value is None)
        ):
            continue
        if key == "properties":
            result[key] = {name: _property(name, node, definitions) for name in value}
        elif key == "patternProperties":
            [(pattern, values)] = value.items()
            result["additionalProperties"] = _convert(values, definitions)
            result.setdefault("x-kubernetes-validations", []).append(_key_rule(pattern))
        elif key == "const":
            result["enum"] = [value]
        elif isinstance(value, dict) and key not in _VERBATIM:
            result[key] = _convert(value, definitions)
        elif key == "x-kubernetes-validations":
            result[key] = [*result.get(key, []), *value]
        else:
            result[key] = value
    return {key: result[key] for key in (*_FIRST, *result) if key in result}


def _property(name: str, parent: dict[str, Json], definitions: dict[str, Json]) -> dict[str, Json]:
    """Convert one field; a part made of defaults only is stored with them, for CEL rules to find."""
    raw = parent["properties"][name]
    converted = _convert(raw, definitions)
    from_factory = "default" not in raw and name not in parent.get("required", [])
    if from_factory and converted.get("type") == "object":
        fields = converted["properties"].items()
        converted["default"] = {field: schema["default"] for field, schema in fields if "default" in schema}
    return converted


def _resolve(node: dict[str, Json], definitions: dict[str, Json]) -> dict[str, Json]:
    """Replace a reference or a union with null by what it means."""
    if "$ref" in node:
        return _resolve(
            _merge(definitions[node["$ref"].rsplit("/", 1)[1]], node, without="$ref"), definitions
        )
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
        if len(branches) != 1:
            raise ValueError(f"a union of {len(branches)} types cannot be expressed: {node}")
        return _resolve(_merge(branches[0], node, without="anyOf"), definitions)
    return node


def _merge(base: dict[str, Json], own: dict[str, Json], *, without: str) -> dict[str, Json]:
    """Lay a field's own keywords over those of its type; the CEL rules of both apply."""
    merged = {**base, **{key: value for key, value in own.items() if key != without}}
    rules = [*base.get("x-kubernetes-validations", []), *own.get("x-kubernetes-validations", [])]
    if rules:
        merged["x-kubernetes-validations"] = rules
    return merged


def _key_rule(pattern: str) -> dict[str, str]:
    return {
        "rule": f"self.all(key, key.size() <= 317 && key.matches(r'{pattern}') && "
        f"key.matches(r'{SHORT_PREFIX}'))",
        "message": "keys must be letters, digits, '-', '_' and '.', optionally after a DNS name and '/'",
    }

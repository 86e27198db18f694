"""Whether what an older structural schema takes is still taken by a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "minLength", "minItems", "minProperties")


def narrower(old: Schema, new: Schema, path: str = "") -> Iterator[str]:
    """Give what the newer schema refuses, loses or reads otherwise; patterns and CEL rules are left out."""
    if old.get("type") != new.get("type"):
        yield f"{path}: is {new.get('type')} instead of {old.get('type')}"
    if "enum" in new and (lost := set(old.get("enum", [])) - set(new["enum"]) or "enum" not in old):
        yield f"{path}: no longer takes {lost}"
    if old.get("default") != new.get("default"):
        yield f"{path}: defaults to {new.get('default')} instead of {old.get('default')}"
    for bound in _UPPER:
        if new.get(bound, float("inf")) < old.get(bound, float("inf")):
            yield f"{path}: {bound} is lower"
    for bound in _LOWER:
        if new.get(bound, float("-inf")) > old.get(bound, float("-inf")):
            yield f"{path}: {bound} is higher"
    yield from _narrower_parts(old, new, path)


def _narrower_parts(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for name in set(new.get("required", [])) - set(old.get("required", [])):
        yield f"{path}.{name}: is required"
    for name, child in old.get("properties", {}).items():
        if name in new.get("properties", {}):
            yield from narrower(child, new["properties"][name], f"{path}.{name}")
        else:
            yield f"{path}.{name}: is gone"
    for part in ("items", "additionalProperties"):
        if isinstance(old.get(part), dict):
            yield from narrower(old[part], new.get(part, {}), f"{path}[]")

"""How patches change an object: a merge patch, and server-side apply by the one manager there is."""

from __future__ import annotations

from typing import Any

_KEYS: dict[str, tuple[str, ...]] = {
    "env": ("name",),
    "containers": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "protocol"),
    "ownerReferences": ("uid",),
    "imagePullSecrets": ("name",),
    "conditions": ("type",),
}
"""Lists whose items are told apart by these fields; all others are replaced as a whole."""


def merged(live: Any, patch: Any) -> Any:
    """Apply a JSON merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def applied(before: Any, wanted: Any, live: Any, field: str = "") -> Any:
    """Give what an apply makes of `live`: all that is wanted, less what was so `before` and is not now."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        before = before if isinstance(before, dict) else {}
        result = {key: value for key, value in live.items() if key in wanted or key not in before}
        for key, value in wanted.items():
            result[key] = applied(before.get(key), value, live.get(key), key)
        return result
    if isinstance(wanted, list) and isinstance(live, list) and field in _KEYS and _keyed(wanted, field):
        return _list(before if isinstance(before, list) else [], wanted, live, field)
    return wanted


def _list(before: list[Any], wanted: list[Any], live: list[Any], field: str) -> list[Any]:
    old, new = ({_key(each, field): each for each in items} for items in (before, live))
    names = [_key(each, field) for each in wanted]
    result = [applied(old.get(name), each, new.get(name)) for name, each in zip(names, wanted, strict=True)]
    return [*result, *(each for name, each in new.items() if name not in names and name not in old)]


def _keyed(items: list[Any], field: str) -> bool:
    return all(isinstance(each, dict) and all(key in each for key in _KEYS[field]) for each in items)


def _key(item: Any, field: str) -> tuple[Any, ...]:
    return tuple(item.get(key) for key in _KEYS[field])

"""Where an object differs from what the operator wants of it.

The API server fills in defaults and others add fields of their own, so an object is right when everything
that is wanted is in it. Only selectors must be exactly so: with one label more they choose nothing. Fields
that were wanted once and are no longer are found by a digest of the whole wish, kept as an annotation; a
server-side apply then removes them.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest

DIGEST_ANNOTATION = "sam2.dev/applied"

_QUANTITIES = frozenset({"limits", "requests", "sizeLimit"})
_LIST_KEYS = ("name", "mountPath", "containerPort", "uid")
"""By which items of Kubernetes' lists are told apart, where others may add items of their own."""
_MERGE_KEYS = (*_LIST_KEYS, "port", "protocol")
"""By which the API server tells them apart: an item that differs in one is another item to it."""
_SELECTORS = ("selector", "podSelector", "namespaceSelector", "matchLabels")
"""Fields to which nobody may add."""

_UNITS = {"m": Decimal("0.001"), "k": Decimal(10**3)}
_UNITS |= {unit: Decimal(1000 ** (power + 2)) for power, unit in enumerate("MGTPE")}
_UNITS |= {f"{unit}i": Decimal(1024 ** (power + 1)) for power, unit in enumerate("KMGTPE")}


def with_digest(wanted: Manifest) -> Manifest:
    """Add the annotation that says what is wanted."""
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]
    metadata = wanted["metadata"]
    annotations = {**metadata.get("annotations", {}), DIGEST_ANNOTATION: digest}
    return {**wanted, "metadata": {**metadata, "annotations": annotations}}


def drift(wanted: Manifest, live: Manifest | None) -> str | None:
    """Give the path of the first difference; "missing" if nothing is there, None if all is right."""
    if live is None:
        return "missing"
    suffix = _differs(wanted, live)
    return None if suffix is None else suffix.lstrip(".") or "object"


def outlasts_an_apply(difference: str) -> bool:
    """Whether a difference is something that others added, which a server-side apply leaves to them.

    So it is with an item of a list that goes by another key now, and with what was added to a selector.
    """
    return difference.endswith(("]", *(f"].{key}" for key in _MERGE_KEYS), *_SELECTORS))


def overwriting(wanted: Manifest, live: Any) -> Manifest:
    """Give a merge patch that makes what is wanted so, and its selectors exactly so."""
    patch: Manifest = {}
    for key, value in wanted.items():
        there = live.get(key) if isinstance(live, dict) else None
        patch[key] = overwriting(value, there) if isinstance(value, dict) else value
        if key in _SELECTORS and isinstance(there, dict):
            patch[key] |= dict.fromkeys(there.keys() - value.keys())
    return patch


def _differs(wanted: Any, live: Any, *, field: str = "", quantity: bool = False) -> str | None:
    """Give the path from here to the first difference, put together only where there is one."""
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return "" if wanted or live is not None else None
        for key, value in wanted.items():
            inner = _differs(value, live.get(key), field=key, quantity=quantity or key in _QUANTITIES)
            if inner is not None:
                return f".{key}{inner}"
        is_more = field in _SELECTORS and live.keys() - wanted.keys()
        return "" if is_more else None
    if isinstance(wanted, list):
        return _list_differs(wanted, live)
    return None if _same(wanted, live, quantity=quantity) else ""


def _list_differs(wanted: list[Any], live: Any) -> str | None:
    if not isinstance(live, list):
        return "" if wanted or live is not None else None
    key = next(
        (key for key in _LIST_KEYS if wanted and all(isinstance(i, dict) and key in i for i in wanted)), None
    )
    if key is None:
        if len(wanted) != len(live):
            return ""
        pairs = list(zip(wanted, live, strict=True))
    else:
        found = {item.get(key): item for item in live if isinstance(item, dict)}
        pairs = [(item, found.get(item[key])) for item in wanted]
    for index, (item, other) in enumerate(pairs):
        inner = _differs(item, other)
        if inner is not None:
            return f"[{index}]{inner}"
    return None


def _same(wanted: Any, live: Any, *, quantity: bool) -> bool:
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return True
    if not quantity:
        return False
    try:
        return amount(wanted) == amount(live)
    except (InvalidOperation, TypeError, ValueError):
        return False


def amount(quantity: int | str) -> Decimal:
    """Read a quantity of Kubernetes, e.g. 1, "500m", "10Gi" or "1e3".

    Raises:
        InvalidOperation: it is none.
    """
    written = str(quantity)
    for unit in sorted(_UNITS, key=len, reverse=True):
        if written.endswith(unit):
            return Decimal(written.removesuffix(unit)) * _UNITS[unit]
    return Decimal(written)

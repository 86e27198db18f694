"""Lists as Django REST framework gives them: search, JSON logic filter, sorting, pages."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tests.cvat_standin.errors import ApiError, invalid

Item = dict[str, Any]
Fields = Mapping[str, Callable[[Item], Any]]
"""How to read, from an item, each field that may be searched, filtered and sorted by."""

DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 500

_OPERATORS: dict[str, Callable[..., bool]] = {
    "and": lambda *values: all(values),
    "or": lambda *values: any(values),
    "!": operator.not_,
    "in": lambda needle, haystack: needle in haystack,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def answer_list(
    items: Sequence[Item], query: Mapping[str, str], url: str, *, fields: Fields, searched: Sequence[str]
) -> Item:
    """One page of what the query asks for; `url` is the address of the list without its query.

    Raises `ApiError`: 404 for a page that does not exist, 400 for a filter or order that means nothing.
    """
    found = [item for item in items if _found_by_search(item, query.get("search", ""), fields, searched)]
    if text := query.get("filter"):
        rule = _parse_filter(text)
        found = [item for item in found if _evaluate(rule, item, fields)]
    for order in reversed((query.get("sort") or "-id").split(",")):
        name = order.strip()
        field = name.removeprefix("-")
        if field not in fields:
            raise invalid("sort", f"Unknown field: {field}. Available ordering fields: {sorted(fields)}")
        found.sort(key=fields[field], reverse=name.startswith("-"))
    return _page(found, query, url)


def _found_by_search(item: Item, terms: str, fields: Fields, searched: Sequence[str]) -> bool:
    texts = [str(fields[name](item)).lower() for name in searched]
    return all(any(term in text for text in texts) for term in terms.lower().replace(",", " ").split())


def _parse_filter(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise invalid("filter", "The filter is not valid JSON.") from error


def _evaluate(rule: Any, item: Item, fields: Fields) -> Any:
    if not isinstance(rule, dict):
        return rule
    if len(rule) != 1:
        raise invalid("filter", "A rule has exactly one operator.")
    [(name, operands)] = rule.items()
    operands = operands if isinstance(operands, list) else [operands]
    if name == "var":
        if operands[0] not in fields:
            raise invalid(
                "filter", f"Unknown field: {operands[0]}. Available filter fields: {sorted(fields)}"
            )
        return fields[operands[0]](item)
    values = [_evaluate(operand, item, fields) for operand in operands]
    try:
        return _OPERATORS[name](*values)
    except (KeyError, TypeError) as error:
        raise invalid("filter", f"Unknown operator, or operands that do not suit it: {name}") from error


def _page(items: Sequence[Item], query: Mapping[str, str], url: str) -> Item:
    try:
        page = int(query.get("page") or 1)
        size = min(int(query.get("page_size") or DEFAULT_PAGE_SIZE), MAX_PAGE_SIZE)
    except ValueError as error:
        raise ApiError(404, {"detail": "Invalid page."}) from error
    pages = max(1, -(-len(items) // size)) if size > 0 else 0
    if not 1 <= page <= pages:
        raise ApiError(404, {"detail": "Invalid page."})

    def link(number: int) -> str | None:
        return f"{url}?{urlencode({**query, 'page': number})}" if 1 <= number <= pages else None

    return {
        "count": len(items),
        "next": link(page + 1),
        "previous": link(page - 1),
        "results": items[(page - 1) * size : page * size],
    }

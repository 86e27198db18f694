"""All reasons that the code can give, found in the code itself.

A reason is a word handed to a parameter, a field or a key named `reason`, or to a class attribute of that
name; and what is looked up by the kubelet's word, and the agent's phases, which are reasons while it is not
ready.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from sam2_agent.core.status import Phase
from sam2_operator.core import explain, pod_events

_NAME = "reason"
_WORD = re.compile(r"[A-Z]+[a-z][A-Za-z]*")

Places = dict[str, int]
"""By the name of a class or function: which of its positional arguments is the reason."""


def reasons_of(*packages: Path) -> set[str]:
    """Give the reasons of some packages."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for each in packages for file in each.rglob("*.py")]
    places = {name: index for tree in trees for name, index in _takers(tree)}
    found = {word for tree in trees for value in _values(tree, places) for word in _words(value)}
    return found | set(explain._ADVICE) | set(pod_events.OBSTACLES) | set(get_args(Phase))


def _takers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Give what takes a reason by position."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields = [
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            ]
            if _NAME in fields:
                yield node.name, fields.index(_NAME)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [each.arg for each in node.args.args if each.arg not in {"self", "cls"}]
            if _NAME in names:
                yield node.name, names.index(_NAME)


def _values(tree: ast.Module, places: Places) -> Iterator[ast.expr]:
    """Give the expressions that become reasons."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (each.value for each in node.keywords if each.arg == _NAME)
            index = places.get(_called(node))
            if index is not None and index < len(node.args):
                yield node.args[index]
        elif isinstance(node, ast.Dict):
            yield from _of_keys(node)
        elif isinstance(node, ast.ClassDef):
            yield from _of_attributes(node)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _of_keys(node: ast.Dict) -> Iterator[ast.expr]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == _NAME:
            yield value


def _of_attributes(node: ast.ClassDef) -> Iterator[ast.expr]:
    for each in node.body:
        targets: Iterable[ast.expr] = (
            each.targets
            if isinstance(each, ast.Assign)
            else [each.target]
            if isinstance(each, ast.AnnAssign)
            else []
        )
        value = each.value if isinstance(each, ast.Assign | ast.AnnAssign) else None
        if value is not None and any(
            isinstance(target, ast.Name) and target.id == _NAME for target in targets
        ):
            yield value


def _words(value: ast.expr) -> Iterator[str]:
    """Give the words that an expression may come to: `"A"`, `"A" if known else "B"`, `given or "A"`."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and _WORD.fullmatch(value.value):
        yield value.value
    elif isinstance(value, ast.BoolOp):
        for part in value.values:
            yield from _words(part)
    elif isinstance(value, ast.IfExp):
        yield from _words(value.body)
        yield from _words(value.orelse)

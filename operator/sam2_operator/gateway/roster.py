"""The trackers that the gateway knows, by the namespace that they were listed from.

What was known stays known until the API server says otherwise: while it is away, and also after a restart
where there is a file. A tracker that is gone in truth costs its caller an error; a list that is empty in
error costs everybody their tool.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from sam2_operator.core.nuclio import Shown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_FILE: TypeAdapter[dict[str, list[Shown]]] = TypeAdapter(dict[str, list[Shown]])


class Roster:
    """Used from one event loop; `scopes` are the namespaces listed, or the empty name for all together."""

    def __init__(self, scopes: Collection[str], file: Path | None = None) -> None:
        self._file = file
        self._scopes: dict[str, list[Shown]] = {}
        self._wanted = frozenset(scopes)
        self._refused: set[str] = set()
        self._by_name: dict[str, Shown] = {}
        if file is not None:
            self._remember(file)

    @property
    def is_known(self) -> bool:
        """Whether all namespaces were listed once, now or before a restart, but for those that may not be."""
        return bool(self._scopes) and self._wanted <= self._scopes.keys() | self._refused

    def refuse(self, scope: str) -> None:
        """Wait no longer for a namespace that may not be listed; what was known of it stays."""
        self._refused.add(scope)

    def replace(self, scope: str, trackers: Sequence[Shown]) -> None:
        """Take in what the API server says of one namespace."""
        if self._scopes.get(scope) == list(trackers):
            return
        self._scopes[scope] = list(trackers)
        self._index()
        log.info("%d serverless trackers are known, %d of them ready", len(self._by_name), len(self.listed()))
        if self._file is not None:
            self._write(self._file)

    def get(self, name: str) -> Shown | None:
        """Give the tracker that CVAT calls by this name, if it may be called."""
        found = self._by_name.get(name)
        return found if found is not None and found.callable else None

    def listed(self) -> list[Shown]:
        """Give the trackers that CVAT is shown: those that are ready."""
        return [each for each in self._by_name.values() if each.ready]

    def count(self) -> int:
        """Give how many there are, ready or not."""
        return len(self._by_name)

    def _index(self) -> None:
        self._by_name = {each.name: each for scope in self._scopes.values() for each in scope}

    def _remember(self, file: Path) -> None:
        try:
            known = _FILE.validate_json(file.read_bytes(), strict=False)
        except FileNotFoundError:
            return
        except (OSError, ValidationError):
            log.warning("%s is of no use, it is written anew", file)
            return
        self._scopes = {scope: each for scope, each in known.items() if scope in self._wanted}
        self._index()

    def _write(self, file: Path) -> None:
        """Replace the file as a whole: a process that ends meanwhile leaves the old one."""
        fresh = file.with_suffix(".new")
        with suppress(OSError):
            fresh.write_bytes(_FILE.dump_json(self._scopes))
            fresh.replace(file)

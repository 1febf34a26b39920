"""The columns that free JSON needs in a table: one for each value in it, at whatever depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scfm.contacts_bulk.table import column_of
from scfm.contacts_bulk.text_lines import MAX_FIELDS
from scfm.errors import Invalid
from scfm.models.paths import KeyPath
from scfm.storage.query import Document

TOO_WIDE_FOR_CSV = f"would have too many columns (maximum is {MAX_FIELDS})"


class Columns:
    """Collects with ``add`` what objects have; then ``names`` are the columns, and ``values`` the cells of an object.

    Null and the empty object need none. What is an object in one and not in another is one column.
    """

    def __init__(self) -> None:
        self._paths: dict[KeyPath, None] = {}
        self._final: list[KeyPath] | None = None

    def add(self, value: Document) -> None:
        """Collect; raises Invalid where there are too many."""
        for path in _leaves(value, ()):
            self._paths[path] = None
            if len(self._paths) >= MAX_FIELDS:
                raise Invalid({"format": [TOO_WIDE_FOR_CSV + "; jsonl has no such limit"]})

    @property
    def paths(self) -> list[KeyPath]:
        """Where the columns' values stand; final once it has been asked for."""
        if self._final is None:
            known = self._paths
            self._final = [path for path in known if not any(path[:depth] in known for depth in range(1, len(path)))]
        return self._final

    @property
    def names(self) -> list[str]:
        """The names of the columns; final once they have been asked for."""
        return [column_of(path) for path in self.paths]

    def values(self, value: Document) -> list[Any]:
        """What an object has in each column, None for nothing."""
        return [_at(value, path) for path in self.paths]


def _leaves(value: Document, path: KeyPath) -> Iterator[KeyPath]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, (*path, name))
        elif inner is not None:
            yield (*path, name)


def _at(value: Any, path: KeyPath) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return None if value == {} else value

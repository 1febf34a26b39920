"""Tells in this process that fields have been written, so that who works on them need not look all the time."""

from __future__ import annotations

from collections.abc import Callable, Collection


class WrittenFields:
    """Callbacks by field, called after a write. Not by a process that dies between the write and the callback."""

    def __init__(self) -> None:
        self._told: dict[str, Callable[[], None]] = {}

    def watch(self, name: str, told: Callable[[], None]) -> None:
        """TOLD, in place of any other for this NAME, is called after each write of that field, in any collection."""
        self._told[name] = told

    def tell(self, *written: Collection[str]) -> None:
        """Fields have been WRITTEN: the names of those of some documents."""
        for name, told in self._told.items():
            if any(name in names for names in written):
                told()

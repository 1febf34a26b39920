"""Tells in this process that fields have been written, so that who works on them need not look all the time."""

from __future__ import annotations

from collections.abc import Callable, Collection


class WrittenFields:
    """Who is to be told, by field. A process that dies between a write and telling of it tells nobody."""

    def __init__(self) -> None:
        self._told: dict[str, Callable[[], None]] = {}

    def watch(self, name: str, told: Callable[[], None]) -> None:
        """TOLD is called, from now on, after each write of a field NAME, in whatever collection."""
        self._told[name] = told

    def tell(self, *written: Collection[str]) -> None:
        """Fields have been WRITTEN: the names of those of some documents."""
        for name, told in self._told.items():
            if any(name in names for names in written):
                told()

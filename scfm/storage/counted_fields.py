"""What a collection declares of itself if it can become so large that totals are remembered: see ``block_counts``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CountedFields:
    """The fields by which documents of one collection are counted; a change of these is announced before it is made.

    ``kind``: the kind of resource whose ids its documents have. ``fields``: names of fields that hold no object.
    ``objects``: names of those that hold one, at every path below; but for the paths of ``uncounted``, and what is
    below them, which may change at any time.
    """

    kind: str
    fields: frozenset[str]
    objects: frozenset[str] = frozenset()
    uncounted: frozenset[str] = frozenset()

    def announced(self, path: str) -> bool:
        """Whether what is in the field, or at the dotted path, changes only with an announcement."""
        if path in self.fields:
            return True
        name, dot, _ = path.partition(".")
        if not dot or name not in self.objects:
            return False
        return not any(path == one or path.startswith(f"{one}.") for one in self.uncounted)

    def announces(self, update: Mapping[str, Any]) -> bool:
        """Whether MongoDB's UPDATE (operators to changes by path) must be announced before it is carried out."""
        return any(name in self.objects or self.announced(name) for changes in update.values() for name in changes)

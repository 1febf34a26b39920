"""The stored counter of a kind of resource, and what it says: see docs/decisions/0006."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict


class OpenEntry(TypedDict):
    """What one process may still do: store documents under ids from ``low`` on, change what it announced.

    ``since`` is the lowest number of a change that it may not have carried out yet. It has last written at ``at``.
    """

    low: int
    since: int | None
    at: datetime


class StoredCounter(TypedDict, total=False):
    """A document of the collection ``counters``; its id is the kind.

    ``last``: the last id. ``seq``: the number of the last change. ``touched``: by block, the number of the last
    change that was announced of it, ``floor`` the highest of those that are not in it. ``open``: by process, what it
    has begun. ``rest``: a token, new whenever a process has nothing open any more.
    """

    last: int
    seq: int
    touched: dict[str, int] | None
    floor: int
    open: dict[str, OpenEntry] | None
    rest: str


@dataclass(frozen=True)
class CounterState:
    """What the counter said at a moment.

    ``decided_below``: documents with lower ids are there or will never be. ``number``: that of the last change that
    was announced. ``dirty_blocks``: by block, the number of the last change that was announced of it; a block that is
    not in it has last been announced with the number ``floor`` or a lower one. ``since``: the lowest number of a
    change that may not be carried out yet, infinite without any. ``quiescent``: a token if nothing at all is under
    way, else None; the same token again says that nothing has changed in between.
    """

    decided_below: int
    number: int
    floor: int
    since: float
    dirty_blocks: Mapping[int, int]
    quiescent: str | None

    @classmethod
    def of(cls, stored: StoredCounter) -> CounterState:
        """What the stored document says; an empty one for a kind of which nothing was ever made."""
        processes = list((stored.get("open") or {}).values())
        return cls(
            decided_below=min([stored.get("last", 0) + 1, *(one["low"] for one in processes)]),
            number=stored.get("seq", 0),
            floor=stored.get("floor", 0),
            since=min((one["since"] for one in processes if one["since"] is not None), default=math.inf),
            dirty_blocks={int(block): number for block, number in (stored.get("touched") or {}).items()},
            quiescent=None if processes else f"{stored.get('rest')} {stored.get('last')} {stored.get('seq')}",
        )

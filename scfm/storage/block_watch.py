"""Which blocks of ids must be counted again, by what the counter of a kind of resource says.

Ids are given in order, so what documents hold among the ids of a block stays the same unless one of these is
announced as changing (see ``change_log``). What is remembered lives in this process alone: a crash loses nothing, and
a process that starts anew counts once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from scfm.storage.batching import Batcher
from scfm.storage.change_log import BLOCK, ChangeLog
from scfm.storage.counter_state import CounterState

T = TypeVar("T")

Span = tuple[int, int]
"""Ids from the first up to, not including, the second."""
END = 2**63 - 1


def spans_of(blocks: Iterable[int]) -> list[Span]:
    """The ids of these blocks, which are in order, in few pieces."""
    spans: list[Span] = []
    for block in blocks:
        begin, end = block * BLOCK, (block + 1) * BLOCK
        if spans and spans[-1][1] == begin:
            begin = spans.pop()[0]
        spans.append((begin, end))
    return spans


class ChangeWatch:
    """Which blocks of one kind may have changed since the last look."""

    def __init__(self) -> None:
        self._number = self._floor = -1
        self._dirty_blocks: Mapping[int, int] = {}

    def take(self, state: CounterState) -> set[int] | None:
        """The blocks that may have changed since the last ``take``, None for all; STATE is what the counter says now.

        It must be read before anything is counted.
        """
        # Not only what is newer: where a primary has died, what was announced last may never have been.
        changed = {
            block
            for block, number in state.dirty_blocks.items() ^ self._dirty_blocks.items()
            if block in state.dirty_blocks or number > state.floor  # else it was told before, and is forgotten
        }
        known = self._floor <= state.floor <= self._number
        self._number, self._floor, self._dirty_blocks = state.number, state.floor, state.dirty_blocks
        return changed if known else None


def changing_blocks(state: CounterState) -> set[int] | None:
    """The blocks that may be changing right now, None for all: what is counted of them is not known for long."""
    if state.floor >= state.since:
        return None
    return {block for block, number in state.dirty_blocks.items() if number >= state.since}


class BlockWatch:
    """The blocks of one kind, for what remembers something of each.

    ``full``: so many blocks, from the first on, are full, and nothing new comes into them; from ``tail_from`` on
    everything is to be counted each time. ``unknown``: those of the full ones that were not counted since they may
    have changed; once counted, they are removed.
    """

    def __init__(self) -> None:
        self.full = 0
        self.unknown: set[int] = set()
        self._changes = ChangeWatch()

    @property
    def tail_from(self) -> int:
        """The first id that is in no full block."""
        return self.full * BLOCK

    def take(self, state: CounterState) -> None:
        """Note what the counter says now, which must be read before anything is counted."""
        changed = self._changes.take(state)
        known = 0 if changed is None else self.full
        self.full = state.decided_below // BLOCK
        self.unknown.update(changed or (), range(known, self.full))
        self.unknown.intersection_update(range(self.full))

    def changing(self, state: CounterState) -> set[int]:
        """The full blocks among those that may be changing right now."""
        changing = changing_blocks(state)
        return set(range(self.full)) if changing is None else changing.intersection(range(self.full))


class Remembered(ABC, Generic[T]):
    """An answer about one kind's documents, of which parts are remembered by block.

    Those who ask at the same time, by ``requests``, share the answer, and one answer is looked for at a time.
    """

    def __init__(self, changes: ChangeLog, joined: ChangeLog | None = None) -> None:
        """JOINED: the changes of another kind, whose documents the answer depends on, too."""
        self.requests: Batcher[None, T] = Batcher(self._answer)
        self.watch = BlockWatch()
        self.joined_changes = ChangeWatch()
        self._changes, self._joined = changes, joined
        self._quiescent: str | None = None
        self._last: T | None = None

    async def _answer(self, asked: list[None]) -> Sequence[T]:
        state, joined = await self._states()
        quiescent = _quiescent(state, joined)
        if self._last is None or quiescent is None or quiescent != self._quiescent:
            self._quiescent = None
            self.watch.take(state)
            self._last = await self._count(state, joined)
            # What was counted may be of a write that a MongoDB which dies takes back, and the counter with it.
            if quiescent is not None and _quiescent(*await self._states()) == quiescent:
                self._quiescent = quiescent
        return [self._last] * len(asked)

    async def _states(self) -> tuple[CounterState, CounterState | None]:
        return await self._changes.state(), None if self._joined is None else await self._joined.state()

    @abstractmethod
    async def _count(self, state: CounterState, joined: CounterState | None) -> T:
        """The answer after ``watch`` has taken STATE; JOINED is that of the other kind."""


def _quiescent(*states: CounterState | None) -> str | None:
    """A token that is the same as long as nothing changes; None while something may be changing."""
    tokens = [state.quiescent for state in states if state is not None]
    return None if None in tokens else " ".join(map(str, tokens))

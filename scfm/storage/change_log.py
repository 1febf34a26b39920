"""Changes of documents, announced by blocks of ids before they are made, so that earlier counts are not trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scfm.storage.counter import HOLD_SECONDS, Counter, CounterRequest, boot_seconds
from scfm.storage.counter_state import CounterState
from scfm.storage.query import Document

# So many ids are a block: what changes is announced by block.
BLOCK = 1024


class ChangeLog:
    """The changes of one kind's documents."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def begin_change(self, blocks: Sequence[int] | None) -> int:
        """Documents of these blocks, for None of any, are about to change: the number to give ``end_change``.

        The change may be made for HOLD_SECONDS; it is on disk that it may. Raises Unavailable.
        """
        while True:
            began = boot_seconds()
            change_number: int = await self._counter.requests.submit(CounterRequest(change=True, blocks=blocks))
            if boot_seconds() < began + HOLD_SECONDS:
                return change_number

    def end_change(self, change_number: int) -> None:
        """The change has been made, or never will be."""
        counter = self._counter
        if (ours := counter.open_changes.get(change_number)) is not None:
            ours.left -= 1
            if not ours.left:
                del counter.open_changes[change_number]
        counter.tell_soon()

    async def state(self) -> CounterState:
        """What the counter says now; those who ask at the same time share the look. Raises Unavailable."""
        return await self._counter.reads.submit(None)


def blocks_of(conditions: Iterable[Document]) -> Sequence[int] | None:
    """The blocks of the ids that these conditions name; None where one names none, so that all may be meant."""
    blocks: set[int] = set()
    for condition in conditions:
        ids = condition.get("_id")
        if isinstance(ids, int):
            blocks.add(ids // BLOCK)
        elif isinstance(ids, dict) and "$in" in ids:
            blocks.update(document_id // BLOCK for document_id in ids["$in"])
        else:
            return None
    return sorted(blocks)

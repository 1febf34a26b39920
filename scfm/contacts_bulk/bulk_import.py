"""What is imported in bulk: lines are taken one by one, and stored a batch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field

from scfm.contacts_bulk.text_lines import Problem, Row
from scfm.errors import NotFound, Unavailable
from scfm.models.references import DELETION_LOOK_SECONDS, MAX_DELETION_LOOKS, live_ids
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# A batch is stored when it has so many lines or bytes.
BATCH_LINES = 250
BATCH_BYTES = 1 << 20
# The reasons of bad lines are kept until they are so many, or have so many bytes together.
MAX_ERRORS = 1000
MAX_ERROR_BYTES = 1 << 18
# How often a batch is tried against others who change the same.
MAX_STORE_TRIES = 1000


@dataclass
class ImportTally:
    """How many lines created, updated or left contacts, or are bad, with the reasons of the first bad ones."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    errors: list[Problem] = field(default_factory=list)
    size = 0

    def add_error(self, problem: Problem) -> None:
        """Count a bad line, and keep why it is bad as long as there is room."""
        self.failed += 1
        if self.failed == len(self.errors) + 1 <= MAX_ERRORS and self.size < MAX_ERROR_BYTES:
            self.size += len(f"{problem.column}{problem.reason}{problem.value}".encode())
            self.errors.append(problem)

    def as_json(self) -> Document:
        """``{created, updated, unchanged, failed, errors: [{line, column, reason, value}], errors_omitted}``."""
        return {**asdict(self), "errors_omitted": self.failed - len(self.errors)}


def import_slots() -> AccountConcurrency:
    """How many batches of each account's imports may be stored at once: two keep MongoDB busy."""
    return AccountConcurrency("batches are being imported", 2)


class BulkImport:
    """Give every line to ``add``, and call ``flush`` at the end.

    SLOTS, ``import_slots`` of the process, bound how many batches of an account are stored at once.

    Batches are stored as they fill up; one that has been stored stays, whatever becomes of the rest.
    """

    # What the lines become.
    collection: str

    def __init__(
        self, view: TenantView, slots: AccountConcurrency, begin: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """BEGIN is awaited before the first batch is stored."""
        self._begin = begin
        self.tally = ImportTally()
        self._view = view
        self._slots = slots
        self._rows: list[Row] = []
        self._size = 0

    async def add(self, found: Row | Problem) -> None:
        """Take a line; returns when there is room for the next. Raises NotFound where the account has gone."""
        if isinstance(found, Problem):
            self.tally.add_error(found)
            return
        self._rows.append(found)
        self._size += found.size
        if len(self._rows) >= BATCH_LINES or self._size >= BATCH_BYTES:
            await self.flush()

    @property
    def held_bytes(self) -> int:
        """The bytes of the lines that have been taken and not stored."""
        return self._size

    async def flush(self) -> None:
        """Store what has been taken; raises like ``add``."""
        rows, self._rows, self._size = self._rows, [], 0
        if rows and self._begin is not None:
            await self._begin()
            self._begin = None
        for _ in range(MAX_STORE_TRIES):
            if not rows:
                return
            async with self._slots.slot(self._view.account_id):
                rows = await self._save(rows)
        raise Unavailable(f"the {self.collection} change faster than they can be imported")

    async def _save(self, rows: Sequence[Row]) -> list[Row]:
        """Store these lines; those whose number somebody else has changed meanwhile."""
        raise NotImplementedError

    async def _undo_if_account_deleted(self, document_ids: Sequence[int]) -> None:
        """Wait for the end of a deletion of the account that may not have seen these new documents.

        Take them back and raise NotFound if it took place (see models.references).
        """
        account = self._view.account_id
        assert account is not None
        for _ in range(MAX_DELETION_LOOKS):
            if await live_ids(self._view, "accounts", [account]):
                return
            if not await self._view.exists("accounts", {"_id": account}):
                await self._view.remove(self.collection, {"_id": {"$in": list(document_ids)}})
                raise NotFound
            await asyncio.sleep(DELETION_LOOK_SECONDS)
        raise Unavailable(f"the deletion of account {account} does not end")

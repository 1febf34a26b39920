"""Contacts in bulk: creates what is new and updates what differs, by phone number, a batch at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scfm.clock import now
from scfm.contacts_bulk.bulk_import import BATCH_BYTES, BulkImport, ImportTally
from scfm.contacts_bulk.text_lines import Problem, Row
from scfm.models.contact import CONTACTS
from scfm.models.fields import FieldError, check_size
from scfm.models.merge import merge, with_memory, without_memory
from scfm.models.resource import same_json
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# Metadata up to so many bytes is read with the batch; contacts with more are read apart, BATCH_BYTES at a time.
SMALL_BYTES = 1 << 12


@dataclass
class ImportedContact:
    """One contact, and the lines of the batch that are about it. ``old`` is None for one that is not there yet.

    ``metadata`` is the part that clients may set; ``stored``, with what call flows remember, is what to store.
    """

    msisdn: str
    old: Document | None
    metadata: Document = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    changes: int = 0

    def apply(self, row: Row, mode: object) -> None:
        """Apply a line, after those before it."""
        given = row.metadata_beside(self.metadata)
        metadata = merge(self.metadata, given, mode)
        try:
            check_size(metadata)
        except FieldError as error:
            self.problems.append(Problem(row.line, "metadata", str(error)))
            return
        if self.rows or self.old is not None:
            self.changes += self._changes(given, metadata)
        self.metadata = metadata
        self.rows.append(row)

    def _changes(self, given: Document, metadata: Document) -> bool:
        """Whether METADATA, which a line makes of what is there with what is GIVEN, is something else than that."""
        # Most of a large contact is not in the line.
        kept = metadata.keys() == self.metadata.keys()
        return not kept or any(not same_json(metadata[name], self.metadata[name]) for name in given)

    @property
    def has_changed(self) -> bool:
        """Whether the lines make something else of the contact than what is stored."""
        if self.old is None:
            return bool(self.rows)
        return self.changes > 0 and not same_json(self.metadata, without_memory(self.old["metadata"]))

    @property
    def stored(self) -> Document:
        """The metadata to store, with what call flows remember."""
        return self.metadata if self.old is None else with_memory(self.metadata, self.old["metadata"])

    def count_in(self, tally: ImportTally) -> None:
        """Count the lines by what they did; lines that undo one another did nothing."""
        for problem in self.problems:
            tally.add_error(problem)
        created = self.old is None and bool(self.rows)
        updated = self.changes if self.has_changed else 0
        tally.created += created
        tally.updated += updated
        tally.unchanged += len(self.rows) - updated - created


class ContactImport(BulkImport):
    """MODE is a ``metadata_merge_mode``."""

    collection = CONTACTS.collection

    def __init__(
        self,
        view: TenantView,
        mode: object,
        slots: AccountConcurrency,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(view, slots, begin)
        self._mode = mode

    async def _save(self, rows: Sequence[Row]) -> list[Row]:
        """Store the contacts of these lines; the lines of those that somebody else changed meanwhile."""
        small, large = await self._stored(rows)
        lost = await self._save_beside(small, [row for row in rows if row.msisdn not in large])
        for msisdns in _grouped(large):
            found = await self._view.find(CONTACTS.collection, {"msisdn": {"$in": msisdns}}, sort=())
            lost |= await self._save_beside(found, [row for row in rows if row.msisdn in msisdns])
        return [row for row in rows if row.msisdn in lost]

    async def _stored(self, rows: Sequence[Row]) -> tuple[list[Document], dict[str, int]]:
        """The contacts of these lines that are there; of those that are large the sizes alone, by their msisdns."""
        condition = {"msisdn": {"$in": list({row.msisdn for row in rows})}}
        size = {"$bsonSize": "$metadata"}
        few = {"$cond": [{"$lte": [size, SMALL_BYTES]}, "$metadata", "$$REMOVE"]}
        fields = {"msisdn": 1, "_version": 1, "size": size, "metadata": few}
        found = await self._view.find(CONTACTS.collection, condition, fields=fields, sort=())
        large = {one["msisdn"]: one["size"] for one in found if "metadata" not in one}
        return [one for one in found if "metadata" in one], large

    async def _save_beside(self, found: Sequence[Document], rows: Sequence[Row]) -> set[str]:
        """Store the contacts of these lines, of which those FOUND are there; gives what ``_insert`` does."""
        contacts = await self._merged(found, rows)
        changed = [contact for contact in contacts if contact.has_changed]
        lost = await self._insert([contact for contact in changed if contact.old is None])
        lost |= await self._update([contact for contact in changed if contact.old is not None])
        for contact in contacts:
            if contact.msisdn not in lost:
                contact.count_in(self.tally)
        return lost

    async def _merged(self, found: Sequence[Document], rows: Sequence[Row]) -> list[ImportedContact]:
        """The contacts of these lines as they will be, in the order in which the lines name them first."""
        time_slice = TimeSlice()
        contacts = {
            stored["msisdn"]: ImportedContact(stored["msisdn"], stored, without_memory(stored["metadata"]))
            for stored in found
        }
        for row in rows:
            contacts.setdefault(row.msisdn, ImportedContact(row.msisdn, None)).apply(row, self._mode)
            await time_slice.pause()
        return list(contacts.values())

    async def _insert(self, contacts: Sequence[ImportedContact]) -> set[str]:
        """Store new contacts; the msisdns that somebody else has taken meanwhile."""
        if not contacts:
            return set()
        contact_ids = await self._view.counters.ids(CONTACTS.kind).allocate(len(contacts))
        moment = now()
        stamps = {"created_at": moment, "updated_at": moment, "_version": 1}
        documents: list[dict[str, Any]] = [
            {"_id": contact_id, "msisdn": contact.msisdn, "metadata": contact.metadata, **stamps}
            for contact_id, contact in zip(contact_ids, contacts, strict=True)
        ]
        refused = await self._view.insert_many(CONTACTS.collection, documents)
        await self._undo_if_account_deleted(
            [document["_id"] for document in documents if document["_id"] not in refused]
        )
        return {document["msisdn"] for document in documents if document["_id"] in refused}

    async def _update(self, contacts: Sequence[ImportedContact]) -> set[str]:
        """Change contacts that are still as they were read; the msisdns of the others."""
        moment = now()
        changes = [
            (
                {"_id": contact.old["_id"], "_version": _version(contact.old)},
                {"$set": {"metadata": contact.stored, "updated_at": moment, "_version": _version(contact.old) + 1}},
            )
            for contact in contacts
            if contact.old is not None
        ]
        if await self._view.bulk_update(CONTACTS.collection, changes) == len(changes):
            return set()
        return await self._not_as(contacts)

    async def _not_as(self, contacts: Sequence[ImportedContact]) -> set[str]:
        """The msisdns of contacts that are not now what they were to become."""
        wanted = {contact.old["_id"]: contact for contact in contacts if contact.old is not None}
        found = await self._view.find(CONTACTS.collection, {"_id": {"$in": list(wanted)}}, sort=())
        there = {
            stored["msisdn"]
            for stored in found
            if _version(stored) == _version(wanted[stored["_id"]].old) + 1
            and same_json(stored["metadata"], wanted[stored["_id"]].stored)
        }
        return {contact.msisdn for contact in contacts} - there


def _grouped(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The msisdns of contacts of these sizes in groups of BATCH_BYTES, or of one that is larger."""
    group: list[str] = []
    total = 0
    for msisdn, size in sizes.items():
        if group and total + size > BATCH_BYTES:
            yield group
            group, total = [], 0
        group.append(msisdn)
        total += size
    if group:
        yield group


def _version(contact: Document | None) -> int:
    return int((contact or {}).get("_version", 1))

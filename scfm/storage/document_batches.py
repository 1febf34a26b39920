"""Finds, inserts and updates of single documents that go to the database together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError

from scfm.errors import Unreachable
from scfm.storage import driver
from scfm.storage.batching import Batcher, isolate_failures
from scfm.storage.codec import escape_document, restore_document
from scfm.storage.database import Database
from scfm.storage.errors import DUPLICATE, DuplicateKey, index_of, map_driver_errors, reason
from scfm.storage.query import Document
from scfm.storage.write_watch import WriteWatchers

# How many documents come with the first answer of a cursor.
FIRST_BATCH = 1000

Wanted = tuple[int | None, Any]
"""The id of the account within which a document is looked for, None for all accounts, and the value of its field."""


@dataclass(frozen=True)
class LookupKey:
    """Documents of a collection by the field NAME, each value within the account that is in the field ``owner``.

    With None for ``owner`` they are looked for within all accounts.
    ``references`` are pairs of a field that holds an id and its collection: the documents come with each, in
    ``_named``.
    """

    collection: str
    name: str
    owner: str | None
    references: tuple[tuple[str, str], ...] = ()

    def condition(self, wanted: Collection[Wanted]) -> Document:
        """That a document has one of the values, and is of one of the accounts: perhaps not of the value's own."""
        among: Document = {self.owner: one_of({account_id for account_id, _ in wanted})} if self.owner else {}
        return {**among, self.name: one_of({value for _, value in wanted})}

    def wanted(self, document: Document) -> Wanted:
        """What a document was looked for by."""
        return document[self.owner] if self.owner else None, document[self.name]

    def pipeline(self, wanted: Collection[Wanted]) -> list[Document]:
        """The aggregation that finds them, with what they refer to."""
        return [
            {"$match": self.condition(wanted)},
            *(
                {"$lookup": {"from": named, "localField": field, "foreignField": "_id", "as": f"_named.{field}"}}
                for field, named in self.references
            ),
        ]


# What a document holds besides its fields; ``_swaps`` are the marks of compare_and_set.
BOOKKEEPING = ("account_id", "_deleting", "_version", "_swaps")


@dataclass(frozen=True, slots=True)
class Update:
    """What is to be done, if anything, to the document of that id if it fits ``condition``."""

    document_id: int
    condition: Document
    update: Document | None

    @property
    def account_id(self) -> int | None:
        """Whose document it is, where the condition says so."""
        account_id = self.condition.get("account_id")
        return account_id if isinstance(account_id, int) else None


class Updated(NamedTuple):
    """The BOOKKEEPING of a document after an update; None if it is gone.

    ``fitted``: whether the document fitted the condition, and was updated; None where the database did not tell. Then
    the BOOKKEEPING has what the collection's watcher tells by.
    """

    bookkeeping: Document | None
    fitted: bool | None


class DocumentBatches:
    """One Batcher for each LookupKey, and for the inserts and the updates of each collection."""

    def __init__(self, database: Database, watchers: WriteWatchers) -> None:
        self._database = database
        self._watchers = watchers
        self._finds: dict[LookupKey, Batcher[Wanted, list[Document]]] = {}
        self._inserts: dict[str, Batcher[Document, None]] = {}
        self._updates: dict[str, Batcher[Update, Updated]] = {}

    async def find_by(self, key: LookupKey, wanted: Wanted) -> list[Document]:
        """Every document that is wanted, by id; each caller has its own."""
        if key not in self._finds:
            self._finds[key] = Batcher(partial(isolate_failures, partial(self._find_together, key)))
        return [restore_document(dict(document)) for document in await self._finds[key].submit(wanted)]

    async def _find_together(self, key: LookupKey, asked: list[Wanted]) -> list[list[Document]]:
        found: dict[Wanted, list[Document]] = {wanted: [] for wanted in asked}
        with map_driver_errors():
            for document in await self._fetch(key, found):
                if (wanted := key.wanted(document)) in found:  # else one account wants what is another's
                    found[wanted].append(document)
        return [found[wanted] for wanted in asked]

    async def _fetch(self, key: LookupKey, wanted: Collection[Wanted]) -> list[Document]:
        collection = self._database.collection(key.collection)
        if key.references:
            cursor = await collection.aggregate(key.pipeline(wanted), batchSize=FIRST_BATCH)
            return sorted(await cursor.to_list(None), key=itemgetter("_id"))
        if key.name == "_id" and len(wanted) == 1:
            document = await collection.find_one(key.condition(wanted))
            return [] if document is None else [document]
        return sorted(await collection.find(key.condition(wanted)).to_list(None), key=itemgetter("_id"))

    async def insert_one(self, collection: str, document: Document) -> None:
        """Store a document under an id of an IdAllocator; raises DuplicateKey."""
        if collection not in self._inserts:
            documents = self._database.collection(collection)
            insert, again = partial(self._insert, documents), partial(self._insert_again, documents)
            self._inserts[collection] = Batcher(partial(isolate_failures, insert, again=again))
        await self._inserts[collection].submit(escape_document(document))

    @staticmethod
    async def _insert(collection: driver.Collection, documents: list[Document]) -> Sequence[Exception | None]:
        """What kept each of the documents from being stored, None for nothing."""
        refused: list[Exception | None] = [None] * len(documents)
        try:
            with map_driver_errors():
                if len(documents) == 1:
                    await collection.insert_one(documents[0])
                else:
                    await collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            if details.get("writeConcernErrors"):
                raise Unreachable(reason(error)) from error
            for failure in details["writeErrors"]:
                known = failure["code"] == DUPLICATE
                refused[failure["index"]] = DuplicateKey(index_of(failure)) if known else error
        return refused

    @staticmethod
    async def _insert_again(collection: driver.Collection, document: Document) -> Exception | None:
        """What keeps a document that may be in already from being stored; None for nothing."""
        try:
            with map_driver_errors():
                same = {name: document[name] for name in ("account_id", "_id") if name in document}
                if await collection.find_one(same) != document:
                    await collection.insert_one(document)
        except Exception as error:
            return error
        return None

    async def update_one(self, collection: str, update: Update) -> Updated:
        """Carry out an update; what is asked at the same time goes to the database together."""
        if collection not in self._updates:
            together = partial(self._update_together, collection)
            self._updates[collection] = Batcher(partial(isolate_failures, together))
        return await self._updates[collection].submit(update)

    async def _update_together(self, name: str, updates: list[Update]) -> list[Updated]:
        collection = self._database.collection(name)
        writes = [(one.condition, one.update) for one in updates if one.update is not None]
        fitted: bool | None = False
        with map_driver_errors():
            if len(updates) == len(writes) == 1:
                bookkeeping = await collection.find_one_and_update(
                    *writes[0], BOOKKEEPING, return_document=ReturnDocument.AFTER
                )
                if bookkeeping is not None:
                    return [Updated(bookkeeping, fitted=True)]
            elif writes:
                result = await collection.bulk_write([UpdateOne(*write) for write in writes], ordered=False)
                fitted = True if result.matched_count == len(writes) else None  # which of them is not told
            document_ids = [one.document_id for one in updates]
            these: Document = {"_id": {"$in": document_ids}}
            if None not in (account_ids := {one.account_id for one in updates}):
                these["account_id"] = one_of(account_ids)
            watched = self._watchers[name].fields if fitted is None and name in self._watchers else ()
            found = await collection.find(these, (*BOOKKEEPING, *watched)).to_list(None)
        after = {document["_id"]: document for document in found}
        return [
            Updated(after.get(one.document_id), fitted=fitted if one.update is not None else False) for one in updates
        ]


def one_of(values: Collection[Any]) -> Any:
    """The condition that a field has one of the values, of which there is at least one."""
    return {"$in": list(values)} if len(values) > 1 else next(iter(values))

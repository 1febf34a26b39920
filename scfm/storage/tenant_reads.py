"""Reads of one account's documents, or of all accounts'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from scfm.errors import NotFound
from scfm.storage.backend import Backend
from scfm.storage.codec import restore_document
from scfm.storage.document_batches import LookupKey
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import CollectionName, Document, Query, Stored, owner_field
from scfm.storage.tenant_list import TenantList

Projection = Sequence[str] | Mapping[str, Any]


class TenantReads:
    """Reads within one account, or, for ``account_id`` None, within all of them.

    What is read of a collection whose name says what it holds (``CollectionName``) has that type, else ``Document``.

    Of the collection of accounts, a view of one account has this account alone.
    """

    def __init__(self, backend: Backend, account_id: int | None) -> None:
        self._backend = backend
        self._database = backend.database
        self.counters = backend.counters
        self.account_id = account_id

    def _scoped(self, collection: str, condition: Document) -> Document:
        """The condition, and that the document is the account's, whatever account the condition names."""
        if self.account_id is None:
            return condition
        field = owner_field(collection)
        if condition.get(field, self.account_id) == self.account_id:
            return {field: self.account_id, **condition}
        return {"$and": [{field: self.account_id}, condition]}

    def _lookup_key(self, collection: str, name: str, references: Mapping[str, str] | None = None) -> LookupKey:
        owner = None if self.account_id is None else owner_field(collection)
        return LookupKey(collection, name, owner, tuple((references or {}).items()))

    def list_of(self, query: Query) -> TenantList:
        """What the query finds within the account, as a list."""
        return TenantList(self._backend, query if self.account_id is None else query.owned_by(self.account_id))

    @overload
    async def get(self, collection: CollectionName[Stored], document_id: int) -> Stored: ...  # type: ignore[overload-overlap]

    @overload
    async def get(self, collection: str, document_id: int) -> Document: ...

    async def get(self, collection: str, document_id: int) -> Any:
        """The document with that id; raises NotFound."""
        document = await self.first_by(collection, "_id", document_id)
        if document is None:
            raise NotFound
        return document

    @overload
    async def first_by(self, collection: CollectionName[Stored], name: str, value: Any) -> Stored | None: ...

    @overload
    async def first_by(self, collection: str, name: str, value: Any) -> Document | None: ...

    async def first_by(self, collection: str, name: str, value: Any) -> Any:
        """The first document, by id, with VALUE in the field NAME, or None; cheaper than ``find_one`` under load.

        Raises Unavailable.
        """
        key = self._lookup_key(collection, name)
        return next(iter(await self._backend.batches.find_by(key, (self.account_id, value))), None)

    async def all_with_references(
        self, collection: str, name: str, value: Any, references: Mapping[str, str]
    ) -> list[tuple[Document, dict[str, Document | None]]]:
        """Every document, by id, with VALUE in the field NAME, each with the documents that it refers to, by field.

        REFERENCES maps its fields that hold ids to their collections. Raises Unavailable.
        """
        key = self._lookup_key(collection, name, references)
        found = []
        for document in await self._backend.batches.find_by(key, (self.account_id, value)):
            referred = document.pop("_named")
            found.append((document, {field: next(iter(referred[field]), None) for field in references}))
        return found

    @overload
    async def find_one(  # type: ignore[overload-overlap]
        self, collection: CollectionName[Stored], condition: Document
    ) -> Stored | None: ...

    @overload
    async def find_one(self, collection: str, condition: Document) -> Document | None: ...

    async def find_one(self, collection: str, condition: Document) -> Any:
        """A document that fits, or None."""
        with map_driver_errors():
            document = await self._database.collection(collection).find_one(self._scoped(collection, condition))
        return restore_document(document) if document is not None else None

    @overload
    async def find(  # type: ignore[overload-overlap]
        self,
        collection: CollectionName[Stored],
        condition: Document,
        *,
        fields: Projection | None = None,
        sort: Sequence[tuple[str, int]] = (("_id", 1),),
        limit: int = 0,
    ) -> list[Stored]: ...

    @overload
    async def find(
        self,
        collection: str,
        condition: Document,
        *,
        fields: Projection | None = None,
        sort: Sequence[tuple[str, int]] = (("_id", 1),),
        limit: int = 0,
    ) -> list[Document]: ...

    async def find(
        self,
        collection: str,
        condition: Document,
        *,
        fields: Projection | None = None,
        sort: Sequence[tuple[str, int]] = (("_id", 1),),
        limit: int = 0,
    ) -> Any:
        """All documents that fit, or the first LIMIT, sorted; only FIELDS of them when named.

        FIELDS may be a projection, ``{"name": 1, "_id": 0}``.
        """
        with map_driver_errors():
            condition = self._scoped(collection, condition)
            cursor = self._database.collection(collection).find(condition, fields, limit=limit)
            if sort:
                cursor = cursor.sort(list(sort))
            return [restore_document(document) for document in await cursor.to_list(None)]

    async def exists(self, collection: str, condition: Document) -> bool:
        """Whether any document fits."""
        with map_driver_errors():
            condition = self._scoped(collection, condition)
            found = await self._database.collection(collection).find_one(condition, {"_id": 1})
        return found is not None

    async def is_taken(self, collection: str, values: Mapping[str, Any], but: int | None) -> bool:
        """Whether a document of any account, but the one with the id BUT, has these values.

        This is for fields that are unique over all accounts. It is all that a view tells of another's documents.
        """
        condition: Document = {name: {"$eq": value} for name, value in values.items()}
        with map_driver_errors():
            found = await self._database.collection(collection).find_one(
                {**condition, "_id": {"$ne": but}}, {"_id": 1}
            )
        return found is not None

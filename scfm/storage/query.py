"""What to find, as data: native MongoDB conditions and stages, before any account or page is applied."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

Document = dict[str, Any]
Stored = TypeVar("Stored")
Stored_co = TypeVar("Stored_co", covariant=True)


class CollectionName(str, Generic[Stored_co]):
    """The name of a collection. The type checker knows by it what is read there, a TypedDict: see TenantReads."""

    __slots__ = ()  # at run time it is a name, and nothing more


NOTHING: Document = {"_id": {"$in": []}}
BY_ID: Document = {"$sort": {"_id": 1}}
TOTAL: Document = {"$count": "total"}
# What MongoDB takes as a limit, a 64-bit integer.
MAX_LIMIT = 2**63 - 1
MAX_SPANS = 32
# The collection of the accounts themselves.
ACCOUNT_COLLECTION = "accounts"


def owner_field(collection: str) -> str:
    """The field with the id of the account whose a document of the collection is; an account is its own."""
    return "_id" if collection == ACCOUNT_COLLECTION else "account_id"


@dataclass(frozen=True)
class Newest:
    """What is asked of the newest document of COLLECTION that names a document in KEY.

    Its FIELD must hold one of ``values``, or anything for None; ``none``: there may as well be no such document.
    """

    collection: str
    key: str
    field: str
    values: tuple[str, ...] | None
    none: bool

    @property
    def stages(self) -> list[Document]:
        """The stages that leave the documents of which it holds."""
        # A join without a pipeline of its own is ten times faster: MongoDB compiles it.
        join = {"from": self.collection, "localField": "_id", "foreignField": self.key, "as": "_newest"}
        newest = {"$slice": [{"$sortArray": {"input": "$_newest", "sortBy": {"_id": -1}}}, 1]}
        absent: Document = {"_newest": []}
        fits: Document = {"$nor": [absent]} if self.values is None else {f"_newest.{self.field}": self._one_of}
        return [
            {"$lookup": join},
            {"$set": {"_newest": newest}},
            {"$match": {"$or": [fits, absent]} if self.none else fits},
            {"$unset": "_newest"},
        ]

    def deciding_pipeline(self, document_ids: Sequence[int]) -> list[Document]:
        """The aggregation over COLLECTION that yields those of the ids for ``select``.

        MongoDB goes from one id to the next in the index on the key, however many documents name each.
        """
        fits: Document = {} if self.values is None else {"value": self._one_of}
        return [
            {"$match": {self.key: {"$in": list(document_ids)}}},
            {"$sort": {self.key: -1, "_id": -1}},
            {"$group": {"_id": f"${self.key}", "value": {"$first": f"${self.field}"}}},
            {"$match": {"$nor": [fits]} if self.none else fits},
            {"$unset": "value"},
        ]

    def select(self, documents: Sequence[Document], decided: Container[int]) -> list[Document]:
        """Those of the documents of which it holds, by what ``deciding_pipeline`` has yielded for their ids."""
        # These are those whose newest fits; or, where there may be none, all but those whose newest does not.
        return [document for document in documents if (document["_id"] in decided) is not self.none]

    @property
    def _one_of(self) -> Document:
        return {"$in": list(self.values or ())}


@dataclass(frozen=True)
class Query:
    """Documents of one collection, by id.

    ``where`` holds conditions on the documents themselves, ``newest`` and ``stages`` (of a pipeline) what needs
    another collection, ``limit`` the most that may be found. With ``through`` the documents are those that the other
    query's documents name in ``key``, each once. ``account_id`` is whose documents they are, None for those of all.
    """

    collection: str
    where: tuple[Document, ...] = ()
    newest: tuple[Newest, ...] = ()
    stages: tuple[Document, ...] = ()
    limit: int | None = None
    through: Query | None = None
    key: str = "_id"
    account_id: int | None = None

    def narrowed(self, *where: Document, newest: Sequence[Newest] = (), stages: Sequence[Document] = ()) -> Query:
        """The same with more conditions, all of which must hold; where there is a limit, within what it leaves."""
        if self.limit is not None:
            return Query(self.collection, where, tuple(newest), tuple(stages), through=self)
        return replace(
            self,
            where=(*self.where, *where),
            newest=(*self.newest, *newest),
            stages=(*self.stages, *stages),
        )

    def limited(self, limit: int | None) -> Query:
        """The same, but at most LIMIT documents."""
        return self if limit is None else replace(self, limit=min(limit, MAX_LIMIT))

    def belonging(self, parents: Query, key: str) -> Query:
        """The same, but only documents that name in KEY one of PARENTS, a query without ``through``.

        The parent steps into the document's place while conditions are put to it. A pipeline inside the join
        would be shorter, and ten times slower.
        """
        join = {"from": parents.collection, "localField": key, "foreignField": "_id", "as": "_parents"}
        return self.narrowed(
            stages=(
                {"$lookup": join},
                {"$match": {"_parents": {"$ne": []}}},
                {"$replaceRoot": {"newRoot": {"$mergeObjects": [{"$first": "$_parents"}, {"_child": "$$ROOT"}]}}},
                {"$match": parents.condition},
                *parents._joins,
                {"$replaceRoot": {"newRoot": "$_child"}},
                {"$unset": "_parents"},
            )
        )

    def owned_by(self, account_id: int) -> Query:
        """The same within one account, at every level."""
        through = self.through.owned_by(account_id) if self.through else None
        return replace(self, account_id=account_id, through=through)

    @property
    def source(self) -> str:
        """The collection where the aggregation begins."""
        return self.collection if self.through is None else self.through.source

    @property
    def plain(self) -> bool:
        """Whether a find and a count are enough."""
        return not self._joins and self.through is None

    @property
    def condition(self) -> Document:
        """The account and all of ``where`` as one condition."""
        # Those of all accounts are named by their ids: MongoDB then walks an index even to count them.
        owned: Document = {"_id": {"$gt": 0}}
        if self.account_id is not None:
            owned = {owner_field(self.collection): self.account_id}
        return all_of([owned, *self.where])

    def within(self, spans: Sequence[tuple[int, int]]) -> Document:
        """The condition with ids in one of SPANS, in order, each up to but not including its second number.

        What lies in more pieces than MongoDB should be asked for is one.
        """
        if len(spans) > MAX_SPANS:
            spans = [(spans[0][0], spans[-1][1])]
        ids: list[Document] = [{"_id": {"$gte": begin, "$lt": end}} for begin, end in spans]
        return all_of([self.condition, ids[0] if len(ids) == 1 else {"$or": ids}])

    def pipeline(self, after: int | str | None = None) -> list[Document]:
        """The aggregation that yields the documents in order of id; AFTER leaves out ids up to it."""
        return [*self._found(after, [BY_ID]), *self._limit()]

    def page(self, skip: int, limit: int) -> list[Document]:
        """The aggregation that yields LIMIT (at least 1) of the documents, after the first SKIP."""
        window: list[Document] = [{"$skip": skip}, {"$limit": limit}]
        if self.through is not None and self._takes_all_named:
            return [*self._named(self.through), BY_ID, *window, *self._fetched()]
        return [*self.pipeline(), *window]

    def counting(self) -> list[Document]:
        """The aggregation that yields their number as ``total``, and nothing at all where there are none."""
        if self.through is not None and self._takes_all_named:
            return [*self._named(self.through), TOTAL]
        return [*self._found(None, []), *self._limit(), TOTAL]

    @property
    def _takes_all_named(self) -> bool:
        # A reference is never to nothing and never leaves the account, so nothing need be fetched to be counted.
        return not self.where and not self._joins and self.limit is None

    @property
    def _joins(self) -> list[Document]:
        return [*(stage for one in self.newest for stage in one.stages), *self.stages]

    def _found(self, after: int | str | None, order: Sequence[Document]) -> list[Document]:
        if self.through is not None:
            # Sorted after they are fetched: MongoDB compiles what comes before a sort, and that is five times faster.
            return [*self._named(self.through, after), *self._fetched(), *order, *self._joins]
        beyond = [{"_id": {"$gt": after}}] if after is not None else []
        return [{"$match": all_of([self.condition, *beyond])}, *order, *self._joins]

    def _named(self, through: Query, after: int | str | None = None) -> list[Document]:
        order = [] if through.limit is None else [BY_ID]
        return [
            *through._found(None, order),
            *through._limit(),
            {"$match": {self.key: {"$gt": after if after is not None else 0}}},
            {"$group": {"_id": f"${self.key}"}},
        ]

    def _fetched(self) -> list[Document]:
        join = {"from": self.collection, "localField": "_id", "foreignField": "_id", "as": "found"}
        return [
            {"$lookup": join},
            {"$replaceRoot": {"newRoot": {"$first": "$found"}}},
            {"$match": self.condition},
        ]

    def _limit(self) -> list[Document]:
        if self.limit is None:
            return []
        # MongoDB knows no limit of 0.
        return [{"$limit": self.limit} if self.limit else {"$match": NOTHING}]


def all_of(conditions: Sequence[Document]) -> Document:
    """One condition that holds where all of CONDITIONS hold."""
    if len(conditions) == 1:
        return conditions[0]
    return {"$and": list(conditions)} if conditions else {}

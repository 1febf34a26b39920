"""What to find, as data: native MongoDB conditions and stages, before any account or page is applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

Document = dict[str, Any]

NOTHING: Document = {"_id": {"$in": []}}


@dataclass(frozen=True)
class Query:
    """Documents of one collection, by id.

    ``where`` holds conditions on the documents themselves, ``stages`` pipeline stages for what needs another
    collection, ``limit`` the most that may be found. With ``through`` the documents are those that the other
    query's documents name in ``key``, each once.
    """

    collection: str
    where: tuple[Document, ...] = ()
    stages: tuple[Document, ...] = ()
    limit: int | None = None
    through: Query | None = None
    key: str = "_id"

    def narrowed(self, *where: Document, stages: Sequence[Document] = ()) -> Query:
        """The same with more conditions, all of which must hold."""
        return replace(self, where=(*self.where, *where), stages=(*self.stages, *stages))

    def limited(self, limit: int | None) -> Query:
        """The same, but at most LIMIT documents."""
        return self if limit is None else replace(self, limit=limit)

    def owned_by(self, account_id: int) -> Query:
        """The same within one account, at every level."""
        through = self.through.owned_by(account_id) if self.through else None
        return replace(self, where=({"account_id": account_id}, *self.where), through=through)

    @property
    def plain(self) -> bool:
        """Whether a find and a count are enough."""
        return not self.stages and self.through is None

    @property
    def condition(self) -> Document:
        """All of ``where`` as one condition."""
        return all_of(self.where)

    def pipeline(self, after: int | None = None) -> list[Document]:
        """The aggregation that yields the documents in order of id; AFTER leaves out ids up to it."""
        if self.through is None:
            beyond = [{"_id": {"$gt": after}}] if after is not None else []
            stages: list[Document] = [{"$match": all_of([*self.where, *beyond])}, {"$sort": {"_id": 1}}]
        else:
            stages = self._joined(self.through, after)
        stages.extend(self.stages)
        if self.limit is not None:
            stages.append({"$limit": self.limit})
        return stages

    def _joined(self, through: Query, after: int | None) -> list[Document]:
        named: list[Document] = [{"$match": {self.key: {"$gt": after if after is not None else 0}}}]
        return [
            *through.pipeline(),
            *named,
            {"$group": {"_id": f"${self.key}"}},
            {"$sort": {"_id": 1}},
            {
                "$lookup": {
                    "from": self.collection,
                    "localField": "_id",
                    "foreignField": "_id",
                    "as": "found",
                }
            },
            {"$replaceRoot": {"newRoot": {"$first": "$found"}}},
            {"$match": self.condition},
        ]


def all_of(conditions: Sequence[Document]) -> Document:
    """One condition that holds where all of CONDITIONS hold."""
    if len(conditions) == 1:
        return conditions[0]
    return {"$and": list(conditions)} if conditions else {}

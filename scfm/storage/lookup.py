"""By what documents are looked up: look-ups with the same key go to the database together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scfm.storage.query import Document

# How many documents come with the first answer of a cursor.
FIRST_BATCH = 1000


@dataclass(frozen=True)
class LookupKey:
    """Documents of a collection by the field NAME, of one account or, for None, of all.

    ``references`` are pairs of a field that holds an id and its collection: the documents come with each, in
    ``_named``.
    """

    collection: str
    name: str
    account_id: int | None = None
    references: tuple[tuple[str, str], ...] = ()

    def condition(self, values: Sequence[Any]) -> Document:
        """The condition that the field has one of the values."""
        among: Document = {} if self.account_id is None else {"account_id": self.account_id}
        return {**among, self.name: {"$in": list(values)}}

    def pipeline(self, values: Sequence[Any]) -> list[Document]:
        """The aggregation that finds them, with what they refer to."""
        return [
            {"$match": self.condition(values)},
            *(
                {"$lookup": {"from": named, "localField": field, "foreignField": "_id", "as": f"_named.{field}"}}
                for field, named in self.references
            ),
        ]

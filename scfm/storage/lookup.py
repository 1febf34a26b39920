"""By what documents are looked up: look-ups with the same key go to the database together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from scfm.storage.query import Document

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


def one_of(values: Collection[Any]) -> Any:
    """The condition that a field has one of the values, of which there is at least one."""
    return {"$in": list(values)} if len(values) > 1 else next(iter(values))

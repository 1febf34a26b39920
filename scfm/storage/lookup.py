"""What documents are looked for by, so that those who look by the same go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scfm.storage.query import Document

# How many documents come with the first answer.
MAX_NAMED = 1000


@dataclass(frozen=True)
class LookupKey:
    """For documents by their field NAME, of one account or of all.

    ``references`` are fields that name others, and their collections: those come with each, in ``_named``.
    """

    collection: str
    name: str
    account_id: int | None = None
    references: tuple[tuple[str, str], ...] = ()

    def condition(self, values: Sequence[Any]) -> Document:
        """That a document has one of the values."""
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

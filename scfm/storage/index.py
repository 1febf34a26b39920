"""What an index of a collection is."""

from __future__ import annotations

from datetime import timedelta

from pymongo import ASCENDING, DESCENDING, IndexModel

from scfm.storage.query import Document


class Index:
    """An index: fields with their direction, perhaps unique, perhaps only over documents that fit ``only``."""

    def __init__(
        self,
        *fields: str,
        name: str | None = None,
        unique: bool = False,
        only: Document | None = None,
        expires: timedelta | None = None,
    ) -> None:
        self.fields = fields
        self.name = name or "_".join(field.strip("-") for field in fields)
        self.unique = unique
        self.only = only
        self.expires = expires

    def model(self) -> IndexModel:
        keys = [(field.lstrip("-"), DESCENDING if field.startswith("-") else ASCENDING) for field in self.fields]
        options: Document = {"name": self.name}
        if self.unique:
            options["unique"] = True
        if self.only is not None:
            options["partialFilterExpression"] = self.only
        if self.expires is not None:
            options["expireAfterSeconds"] = int(self.expires.total_seconds())
        return IndexModel(keys, **options)

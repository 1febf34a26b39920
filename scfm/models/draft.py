"""A document on its way in, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from scfm.errors import Invalid
from scfm.storage.query import Document


class Errors(dict[str, list[str]]):
    """By the name of the field, the messages of what is wrong with it; ``hints`` say what would be accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.hints: dict[str, str] = {}

    def add(self, name: str, *messages: str, hint: str | None = None) -> None:
        self.setdefault(name, []).extend(messages)
        if hint is not None:
            self.hints[name] = hint

    def check(self) -> None:
        """Raise Invalid if there are any."""
        if self:
            raise Invalid(self, self.hints)


@dataclass
class Draft:
    """A new or changed document before it is stored.

    ``given`` is what the client sent, ``document`` what is to be stored, ``old`` what an update changes: None for a
    new document.
    """

    given: Document
    document: Document
    errors: Errors = field(default_factory=Errors)
    old: Document | None = None

    @property
    def new(self) -> bool:
        return self.old is None

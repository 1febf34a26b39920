"""Fields that name a person, and are null once the person is erased: see ``erased``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scfm.models.erased import shown_link, shown_msisdn
from scfm.models.fields import Link, Msisdn
from scfm.storage.query import Document


@dataclass(frozen=True)
class ErasableLink(Link):
    """The id of a person's document."""

    def show(self, document: Document) -> Any:
        return shown_link(super().show(document))


@dataclass(frozen=True)
class ErasableMsisdn(Msisdn):
    """A person's phone number."""

    def show(self, document: Document) -> Any:
        return shown_msisdn(super().show(document))

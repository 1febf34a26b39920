"""What a migration is: a change of what is stored, from one version of the schema to the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scfm.storage.store import Store

MigrationStep = Callable[[Store, int], Awaitable[int | None]]


@dataclass(frozen=True)
class Migration:
    """Takes the stored documents to the schema version ``number``, while servers ring and answer.

    ``step`` gets the store and an id, changes what is stored beyond that id, some documents at a time, and gives the
    id up to which it has come, or None when nothing is left. It is done twice where a process dies before that is
    kept, and it meets documents that other processes, also older ones, write meanwhile: so whatever it does it does
    on the condition that it is still to be done, and whatever reads the documents understands both forms.

    ``shuts_out``: programs that do not know this version must not work on the data any more, from the first start of
    one that does.
    """

    number: int
    name: str
    step: MigrationStep
    shuts_out: bool = False

"""Which version of the stored documents a database has, and which programs may open it.

One document, written at the first start: ``version`` is the number of the last migration that is done,
``oldest_program`` the lowest schema version of a program that may open the database, and ``release`` the program that
asked for that. Each change is a compare-and-set, so several processes, also of several versions, may start at once.
See docs/decisions/0027.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

from pymongo import ReturnDocument

from scfm.clock import now
from scfm.errors import StartError
from scfm.storage.database import Database
from scfm.storage.errors import DuplicateKey, map_driver_errors
from scfm.storage.query import Document

SCHEMA_COLLECTION: Final = "schema"
# The id of the only document of that collection.
ONLY: Final = "schema"
# So long a process has a migration before another may go on with it.
MIGRATION_LEASE = timedelta(seconds=30)


class Program(NamedTuple):
    """What a program is to the data: its release, its schema version, and the lowest that may work beside it."""

    release: str
    schema_version: int
    oldest_beside: int


@dataclass(frozen=True)
class SchemaState:
    """What is stored. ``after``: the id up to which the migration that follows ``version`` is done."""

    version: int = 0
    oldest_program: int = 0
    release: str = ""
    after: int = 0

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> SchemaState:
        """That of a stored document; of a database that has none, which is older than the first version."""
        if document is None:
            return cls()
        return cls(document["version"], document["oldest_program"], document["release"], document.get("after", 0))

    def refuse_newer(self, program: Program) -> None:
        """Raise StartError if PROGRAM is too old for these data; the text says what to do."""
        if self.oldest_program > program.schema_version:
            raise StartError(
                f"these data are those of scfm {self.release} (schema {self.oldest_program}), and this program, "
                f"scfm {program.release}, knows them only up to schema {program.schema_version}: start scfm "
                f"{self.release} or a newer one, or restore a backup from before the upgrade (docs/upgrading.md)"
            )


class StoredSchema:
    """The schema document of a database."""

    def __init__(self, database: Database) -> None:
        self._collection = database.collection(SCHEMA_COLLECTION)

    async def read(self) -> SchemaState:
        """What is stored. Raises Unavailable."""
        with map_driver_errors():
            return SchemaState.of(await self._collection.find_one({"_id": ONLY}))

    async def check(self, program: Program) -> SchemaState:
        """What is stored; raises StartError if PROGRAM is too old for it, and Unavailable."""
        state = await self.read()
        state.refuse_newer(program)
        return state

    async def enter(self, program: Program, *, empty: bool) -> bool:
        """Let PROGRAM open the database, before it writes anything there; EMPTY: nothing is stored there yet.

        Whether older programs that may be at work on it have just been shut out: they see that after a moment, and
        end. Raises StartError if the program itself is too old, and Unavailable.
        """
        stored = await self.check(program)
        if stored == SchemaState():
            new = SchemaState(program.schema_version if empty else 0, program.oldest_beside, program.release)
            await self._insert(new)
            stored = await self.check(program)
        if stored.oldest_program >= program.oldest_beside:
            return False
        older = {"_id": ONLY, "oldest_program": {"$lt": program.oldest_beside}}
        raised = {"oldest_program": program.oldest_beside, "release": program.release}
        with map_driver_errors():
            await self._collection.update_one(older, {"$set": raised})
        await self.check(program)
        return True

    async def claim(self, version: int) -> str | None:
        """Claim the migration that follows VERSION; the token of the claim, None where it is done or another's."""
        token, moment = secrets.token_hex(8), now()
        free = {"_id": ONLY, "version": version, "$or": [{"lease": None}, {"lease.until": {"$lt": moment}}]}
        lease = {"token": token, "until": moment + MIGRATION_LEASE}
        with map_driver_errors():
            claimed = await self._collection.update_one(free, {"$set": {"lease": lease}})
        return token if claimed.modified_count else None

    async def advance(self, token: str, after: int) -> bool:
        """Keep that the claimed migration is done up to the id AFTER; whether the claim still holds."""
        moved = {"after": after, "lease.until": now() + MIGRATION_LEASE}
        return await self._change(token, {"$set": moved})

    async def finish(self, token: str) -> bool:
        """Keep that the claimed migration is done; whether the claim still holds."""
        return await self._change(token, {"$inc": {"version": 1}, "$unset": {"after": "", "lease": ""}})

    async def hand_back(self, token: str) -> None:
        """Let another process go on with the claimed migration at once."""
        await self._change(token, {"$unset": {"lease": ""}})

    async def _change(self, token: str, update: Document) -> bool:
        with map_driver_errors():
            changed = await self._collection.find_one_and_update(
                {"_id": ONLY, "lease.token": token}, update, return_document=ReturnDocument.AFTER
            )
        return changed is not None

    async def _insert(self, state: SchemaState) -> None:
        stored = {"version": state.version, "oldest_program": state.oldest_program, "release": state.release}
        try:
            with map_driver_errors():
                await self._collection.insert_one({"_id": ONLY, **stored})
        except DuplicateKey:
            pass  # another process has just been faster

"""Every migration there has been, in order. Who changes what is stored adds one; none is changed or taken away.

What is made good at each start needs no version: indexes that are missing, and those of older versions, which are
dropped (``registry.OBSOLETE_INDEXES``; a server of such a version makes them anew when it starts); and outcomes that
are not what they should be (the job ``OutcomeRepair``).
"""

from __future__ import annotations

from collections.abc import Sequence

from scfm import __version__
from scfm.models.migrations.migration import Migration
from scfm.models.migrations.numbers import mark_own_numbers
from scfm.models.migrations.outcomes import mark_missing
from scfm.storage.schema import Program

MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "outcomes of participations", mark_missing),
    Migration(2, "participations with a number of their own", mark_own_numbers),
)


def program_of(migrations: Sequence[Migration], release: str = __version__) -> Program:
    """The program that knows these migrations."""
    shutting_out = [migration.number for migration in migrations if migration.shuts_out]
    return Program(release, len(migrations), max(shutting_out, default=0))


PROGRAM = program_of(MIGRATIONS)

"""Results as a table: a column for each value that a contact's metadata, or an answer, has anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from scfm.contacts_bulk.columns import Columns
from scfm.contacts_bulk.harmless_cell import harmless
from scfm.contacts_bulk.text_lines import cell_text
from scfm.results.result import Result

BEFORE_METADATA: Final = ("contact_id", "msisdn")
AFTER_METADATA: Final = (
    "outcome",
    "outcome_reason",
    "attempts",
    "first_attempt_at",
    "last_attempt_at",
    "duration",
)
ANSWERS: Final = "answers."

Cell = str | int | float | None
"""A text, a number, or nothing."""


class ResultTable:
    """Collect with ``add`` what results have; then ``header`` are the columns, and ``row`` the cells of a result.

    A column of metadata with the name of another begins with a backslash, as in an export: ``\\outcome``.
    """

    def __init__(self) -> None:
        self._metadata = Columns()
        self._answers = Columns()

    def add(self, result: Result) -> None:
        """Collect; raises Invalid where there are too many columns."""
        self._metadata.add(result["metadata"])
        self._answers.add(result["answers"])

    def header(self) -> list[str]:
        """The names of the columns."""
        metadata = map(_metadata_column, self._metadata.names)
        answers = (ANSWERS + name for name in self._answers.names)
        return [*BEFORE_METADATA, *map(harmless, metadata), *AFTER_METADATA, *answers]

    def row(self, result: Result) -> list[Cell]:
        """The cells of one person."""
        return [
            result["contact_id"],
            result["msisdn"],
            *_harmless(self._metadata.values(result["metadata"])),
            result["outcome"],
            result["outcome_reason"],
            result["attempts"],
            result["first_attempt_at"],
            result["last_attempt_at"],
            result["duration"],
            *_harmless(self._answers.values(result["answers"])),
        ]


def _metadata_column(name: str) -> str:
    reserved = name in BEFORE_METADATA or name in AFTER_METADATA or name.startswith(ANSWERS)
    return "\\" + name if reserved else name


def _harmless(values: Iterable[Any]) -> Iterator[Cell]:
    """Values that strangers may have written, as cells in which no spreadsheet sees a formula."""
    for value in values:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield value
        else:
            yield harmless(cell_text(value))

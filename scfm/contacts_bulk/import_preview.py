"""What an import of contacts would come to, of which nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from scfm.contacts_bulk.import_contacts import ContactImport, ImportedContact
from scfm.contacts_bulk.import_file import ContactFile
from scfm.contacts_bulk.metadata_path import written_path
from scfm.contacts_bulk.number_column import MSISDN
from scfm.contacts_bulk.table import Header
from scfm.contacts_bulk.text_lines import Row
from scfm.models.texts import trimmed
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# The first contacts that are shown, and of each column the first values, and the characters of one.
MAX_CONTACTS_SHOWN: Final = 10
MAX_VALUES_SHOWN: Final = 3
MAX_VALUE_SHOWN: Final = 80
# The numbers of so many lines are kept, to find those that come again; each takes about so many bytes.
MAX_NUMBERS: Final = 200_000
NUMBER_BYTES: Final = 96


class ContactPreview(ContactImport):
    """Counts what ``ContactImport`` would do, and stores nothing.

    Lines whose number stands in an earlier line are counted apart, as ``repeated``: an import counts them as updates,
    or as unchanged.
    """

    def __init__(self, view: TenantView, mode: object, slots: AccountConcurrency) -> None:
        super().__init__(view, mode, slots)
        self.repeated = 0
        # Whether every repeated number was found.
        self.complete = True
        self._numbers: set[int] = set()
        self._shown: list[tuple[int, Document]] = []

    @property
    def held_bytes(self) -> int:
        return super().held_bytes + len(self._numbers) * NUMBER_BYTES

    def as_json(self) -> Document:
        """The counts, the first contacts as they would be stored, and the bad lines in their order."""
        tally = self.tally.as_json()
        counts = ("created", "updated", "unchanged", "failed")
        return {
            "rows": sum(tally[name] for name in counts) + self.repeated,
            **{name: tally[name] for name in counts[:3]},
            "repeated": self.repeated,
            "failed": tally["failed"],
            "contacts": [shown for _, shown in self._shown],
            "errors": sorted(tally["errors"], key=lambda error: error["line"]),
            "errors_omitted": tally["errors_omitted"],
            "complete": self.complete,
        }

    async def _save(self, rows: Sequence[Row]) -> list[Row]:
        first = list(self._first_of_number(rows))
        return await super()._save(first) if first else []

    def _first_of_number(self, rows: Sequence[Row]) -> Iterator[Row]:
        for row in rows:
            number = int(row.msisdn)
            if number in self._numbers:
                self.repeated += 1
                continue
            if len(self._numbers) < MAX_NUMBERS:
                self._numbers.add(number)
            else:
                self.complete = False
            yield row

    async def _merged(self, found: Sequence[Document], rows: Sequence[Row]) -> list[ImportedContact]:
        contacts = await super()._merged(found, rows)
        new = [
            (row.line, {"line": row.line, "msisdn": contact.msisdn, "metadata": contact.metadata})
            for contact in contacts
            for row in contact.rows[:1]
        ]
        self._shown = sorted([*self._shown, *new], key=lambda shown: shown[0])[:MAX_CONTACTS_SHOWN]
        return contacts

    async def _insert(self, contacts: Sequence[ImportedContact]) -> set[str]:
        return set()

    async def _update(self, contacts: Sequence[ImportedContact]) -> set[str]:
        return set()


def columns_of(file: ContactFile) -> Document:
    """The columns of a table, with their first values, and which is the phone number; none of what is no table.

    ``{columns: [{name, field, values}], msisdn_column, guessed}``: ``field`` is what the column becomes, such as
    ``metadata.district``, or null; ``msisdn_column`` is null where none is the phone number.
    """
    table, header = file.table, file.table.header
    names, sample = (table.first_rows[0].cells, table.first_rows[1:]) if table.has_begun else ((), [])
    columns: list[Document] = []
    for position, name in enumerate(names):
        if trimmed(name):
            cells = [row.cells[position] for row in sample if position < len(row.cells)]
            columns.append({"name": trimmed(name), "field": _field(header, position), "values": _values(cells)})
    number = None if header is None else trimmed(names[header.msisdn])
    return {
        "columns": columns,
        "msisdn_column": number,
        "guessed": number is not None and not table.number.is_called(number),
    }


def _field(header: Header | None, position: int) -> str | None:
    if header is None:
        return None
    if position == header.msisdn:
        return MSISDN
    return written_path(header.paths[position]) if position in header.paths else None


def _values(cells: Sequence[str]) -> list[str]:
    shown = [trimmed(cell)[:MAX_VALUE_SHOWN] for cell in cells if trimmed(cell)][:MAX_VALUES_SHOWN]
    # A byte that is no text in the file's charset is half a surrogate pair here.
    return [cell.encode("utf-8", "replace").decode() for cell in shown]

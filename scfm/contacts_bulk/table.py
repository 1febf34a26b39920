"""Contacts as a table, whatever file it is in: a row of column names, then a row of cells for each contact.

One column is the phone number, ``msisdn``; every other is a value in the metadata. A column's name is the path to the
value: ``address.city``. A backslash takes the next character as it is: ``a\\.b`` is one name with a dot in it,
``\\msisdn`` is metadata of that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter

from scfm.contacts_bulk.charsets import NOT_UTF8
from scfm.contacts_bulk.number_column import CALLED_MSISDN, MSISDN, NumberColumn, NumberColumnMissing, is_msisdn
from scfm.contacts_bulk.text_lines import MAX_DEPTH, MAX_FIELDS, Row, RowError, check_text, read_phone_number
from scfm.errors import Invalid
from scfm.models.merge import FLOW_MEMORY
from scfm.models.paths import KeyPath
from scfm.models.texts import BLANKS, composed, stored_form, trimmed
from scfm.storage.query import Document

# So much of a column's name an error tells, and so many of the columns.
MAX_NAME_SHOWN = 80
MAX_NAMES_SHOWN = 20
# As many as a worksheet has.
MAX_CELLS = 16_384
# Characters of all the names, and, in one row, of the texts that have to be composed: see texts.MAX_NORMALISED.
MAX_NAME_CHARACTERS = 1 << 16
MAX_COMPOSED = 1 << 16

TOO_MANY_CELLS = "has more cells than the header has columns"
TOO_MANY_COLUMNS = f"has too many columns (maximum is {MAX_FIELDS})"
TOO_LONG_NAMES = f"has names that are too long (maximum is {MAX_NAME_CHARACTERS} characters in all)"
TOO_WIDE = f"has too many cells (maximum is {MAX_CELLS})"
NO_NAME = "has a value here, but no name in the header"
NOT_COMPOSED = f"has too much text that is not in Unicode's form NFC (maximum is {MAX_COMPOSED} characters)"


def path_of(column: str) -> KeyPath:
    """The path that a column's name stands for: without the blanks around its names, and these in NFC.

    What stands after a backslash is part of a name as it is.
    """
    # Each name as its characters, with whether they are to be taken as they are.
    names: list[list[tuple[str, bool]]] = [[]]
    characters = iter(column)
    for character in characters:
        if character == ".":
            names.append([])
        elif character == "\\":
            names[-1].append((next(characters, ""), True))
        else:
            names[-1].append((character, False))
    return tuple(map(_name_of, names))


def _name_of(characters: list[tuple[str, bool]]) -> str:
    start, end = 0, len(characters)
    while start < end and _is_blank(characters[start]):
        start += 1
    while start < end and _is_blank(characters[end - 1]):
        end -= 1
    name = ""
    for as_it_is, run in groupby(characters[start:end], key=itemgetter(1)):
        text = "".join(character for character, _ in run)
        name += text if as_it_is else composed(text, "NFC")
    return name


def _is_blank(character: tuple[str, bool]) -> bool:
    text, is_escaped = character
    return not is_escaped and text in BLANKS


def column_of(path: KeyPath) -> str:
    """The name of the column for a path, such that ``path_of`` gives the path back."""
    column = ".".join(map(_escaped, path))
    return "\\" + column if column == "" or is_msisdn(column) else column


def _escaped(name: str) -> str:
    kept = trimmed(name)
    start = name.index(kept) if kept else len(name)
    end = start + len(kept)
    as_it_is = not name.isascii() and composed(name, "NFC") != name
    return "".join(
        "\\" + character
        if character in "\\." or not start <= position < end or (as_it_is and not character.isascii())
        else character
        for position, character in enumerate(name)
    )


class Header:
    """The first row: which cell is the phone number, and where in the metadata the others belong.

    ``country`` is the account's ``default_country``, ``not_text`` what an error says of a cell that is no text.
    ``number`` tells which column is the phone number, by its name or by SAMPLE, rows that follow the header. Raises
    Invalid, with everything that is wrong with the header; NumberColumnMissing where nothing else is.
    """

    def __init__(
        self,
        cells: Sequence[str],
        country: str | None = None,
        not_text: str = NOT_UTF8,
        number: NumberColumn = CALLED_MSISDN,
        sample: Sequence[Sequence[str]] = (),
    ) -> None:
        self.country = country
        self.not_text = not_text
        self.width = len(cells)
        self.names = {position: cell for position, cell in enumerate(cells) if trimmed(cell)}
        self._check_names()
        self.msisdn_columns = number.positions(self.names, sample, country)
        paths = {
            position: path_of(name) for position, name in self.names.items() if position not in self.msisdn_columns
        }
        # What flows remember is in a file that was exported with it, and no file sets it.
        self.ignored = {position for position, path in paths.items() if path[0] == FLOW_MEMORY}
        self.paths = {position: path for position, path in paths.items() if position not in self.ignored}
        messages = list(self._errors())
        if not self.msisdn_columns:
            shown = [_shown(name) for name in islice(self.names.values(), MAX_NAMES_SHOWN)]
            more = ", …" if len(self.names) > MAX_NAMES_SHOWN else ""
            raise NumberColumnMissing(number, ", ".join(shown) + more, messages)
        if messages:
            raise Invalid({"header": messages})
        self.msisdn = self.msisdn_columns[0]

    def _check_names(self) -> None:
        """Raise Invalid for names that are not worth another look."""
        if self.width > MAX_CELLS or sum(map(len, self.names.values())) > MAX_NAME_CHARACTERS:
            raise Invalid({"header": [TOO_MANY_COLUMNS if self.width > MAX_CELLS else TOO_LONG_NAMES]})
        try:
            for name in self.names.values():
                self._check("header", name)
        except RowError as error:
            raise Invalid({"header": [error.reason]}) from None

    def _check(self, column: str, text: str) -> None:
        try:
            check_text(column, text)
        except ValueError:
            raise RowError(column, self.not_text) from None

    def _errors(self) -> Iterator[str]:
        if len(self.msisdn_columns) > 1:
            name = self.names[self.msisdn_columns[0]]
            yield f"has the column {MSISDN if is_msisdn(name) else _shown(name)} twice"
        if len(self.paths) + len(self.msisdn_columns) > MAX_FIELDS:
            yield TOO_MANY_COLUMNS
            return
        names: dict[KeyPath, str] = {}
        for position, path in self.paths.items():
            name = _shown(self.names[position])
            if path in names:
                yield f"has the column {name} twice"
            names.setdefault(path, name)
        for path, name in names.items():
            yield from _path_errors(path, name, names)

    def name_of(self, position: int) -> str:
        """What an error calls the column at that position, from 0."""
        name = self.names.get(position)
        return f"column {position + 1}" if name is None else MSISDN if position == self.msisdn else _shown(name)

    def contact_in(self, line: int, cells: Sequence[str], size: int) -> Row:
        """A row's cells as a contact; an empty cell says nothing. Raises RowError."""
        self._check_width(cells)
        metadata: Document = {}
        changed = 0
        for position, path in self.paths.items():
            if position >= len(cells) or not (text := cells[position]):
                continue
            self._check(self.name_of(position), text)
            stored = stored_form(text)
            changed += len(text) if stored is not text else 0
            if changed > MAX_COMPOSED:
                raise RowError(None, NOT_COMPOSED)
            if stored:
                _put(metadata, path, stored)
        msisdn = cells[self.msisdn] if len(cells) > self.msisdn else None
        self._check(MSISDN, msisdn or "")
        return Row(line, read_phone_number(msisdn, self.country), metadata, size, text=True)

    def _check_width(self, cells: Sequence[str]) -> None:
        """Raise RowError for a value in a column that has no name."""
        if len(cells) > MAX_CELLS:
            raise RowError(None, TOO_WIDE)
        if len(cells) <= self.width == len(self.names):
            return
        for position, text in enumerate(cells):
            if text and position not in self.names and trimmed(text):
                if position < self.width:
                    raise RowError(self.name_of(position), NO_NAME, text)
                raise RowError(None, TOO_MANY_CELLS)


def _shown(name: str) -> str:
    return trimmed(name)[:MAX_NAME_SHOWN]


def _path_errors(path: KeyPath, name: str, names: Mapping[KeyPath, str]) -> Iterator[str]:
    """What is wrong with a column's path among the others."""
    if len(path) >= MAX_DEPTH:
        yield f"has the column {name}, which is nested too deeply (maximum is {MAX_DEPTH - 1} levels)"
        return
    for depth in range(1, len(path)):
        if path[:depth] in names:
            yield f"has both the columns {names[path[:depth]]} and {name}"


def _put(metadata: Document, path: KeyPath, text: str) -> None:
    for name in path[:-1]:
        metadata = metadata.setdefault(name, {})
    metadata[path[-1]] = text

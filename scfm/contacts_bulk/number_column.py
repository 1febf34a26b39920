"""Which column of a table is the phone number: one called ``msisdn``, one that the client names, or a guess."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scfm.errors import Invalid
from scfm.models import hints, msisdn
from scfm.models.texts import composed, trimmed

MSISDN: Final = "msisdn"
# Characters of a column's name as a client gives it.
MAX_NUMBER_COLUMN_NAME: Final = 1000
# A column is taken for the phone number by its cells alone where so many of those that are not empty are numbers,
# and have so many digits: shorter ones are house numbers, ages and years.
MIN_SHARE: Final = 0.8
MIN_DIGITS: Final = 8
# What columns of phone numbers are called, in lower case, without marks, blanks and punctuation. Whole names, some of
# which others have, too, and parts by which a longer name is surely known ("téléphone du chef", "Mobile No. 1").
_NAMES: Final = frozenset(
    {"tel", "cell", "gsm", "hp", "no", "num", "number", "numero", "nr", "nomor", "contact", "wa", "simu"}
)
_PARTS: Final = (
    *("phone", "mobile", "telefon", "telephone", "teleph", "cellular", "celular", "portable", "whatsapp", "movil"),
    *("handphone", "contactno", "contactnum", "cellno", "cellnum", "telno", "telnum", "taleefan", "telefoon"),
    *("nambayasimu", "ទូរស័ព្ទ", "ទូរសព្ទ", "โทรศัพท", "đienthoai", "dienthoai", "โทร", "ဖုန်း", "هاتف", "موبایل", "فون"),
    *("फोन", "মোবাইল", "ফোন", "電話", "电话", "手机", "전화", "ስልክ"),
)
# Not all that is no letter to ``re``: the vowel signs of many scripts are none.
_BETWEEN_LETTERS: Final = re.compile(r"[\s!-/:-@\[-`{-~\u200b]+")


class NumberColumnMissing(Invalid):
    """No column is the phone number, or the one that the client named is not there; ``columns``: those that are."""

    def __init__(self, number: NumberColumn, columns: str, messages: Sequence[str] = ()) -> None:
        found = f"its columns are: {columns}" if columns else "it has no columns"
        if number.name is not None:
            super().__init__({"msisdn_column": [f"is no column of the file; {found}"]})
            return
        missing = f"must have a column {MSISDN}; {found}"
        super().__init__({"header": [missing, *messages]}, {"header": hints.MSISDN_COLUMN})


@dataclass(frozen=True)
class NumberColumn:
    """The column called NAME; without a name the one called ``msisdn``, or, with GUESS, else the likeliest."""

    name: str | None = None
    guess: bool = False

    @classmethod
    def of(cls, given: Any, *, guess: bool = False) -> NumberColumn:
        """From the parameter ``msisdn_column``; raises Invalid."""
        if given is not None and (
            not isinstance(given, str) or not trimmed(given) or len(given) > MAX_NUMBER_COLUMN_NAME
        ):
            raise Invalid({"msisdn_column": ["must be the name of a column"]})
        return cls(given, guess)

    def is_called(self, column: str) -> bool:
        """Whether a column of that name is meant."""
        return is_msisdn(column) if self.name is None else _plain(column) == _plain(self.name)

    def positions(
        self, names: Mapping[int, str], sample: Sequence[Sequence[str]] = (), country: str | None = None
    ) -> list[int]:
        """Where it is among NAMES, by position; none or several where the table is unfit. SAMPLE: rows of it."""
        called = [position for position, name in names.items() if self.is_called(name)]
        if called or self.name is not None or not self.guess:
            return called
        likeliest = max(_likelihoods(names, sample, country), default=None)
        return [] if likeliest is None else [-likeliest[-1]]


CALLED_MSISDN: Final = NumberColumn()


def is_msisdn(name: str) -> bool:
    """Whether a column of that name is the phone number, whatever its case and whatever invisible is in it."""
    if not name.isascii():
        name = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return trimmed(name).lower() == MSISDN


def _plain(name: str) -> str:
    return composed(trimmed(name), "NFC")


def _likelihoods(
    names: Mapping[int, str], sample: Sequence[Sequence[str]], country: str | None
) -> Iterator[tuple[bool, float, bool, int]]:
    """Of each column that may be it: whether its name may say so, the share of numbers in it, whether its name surely
    says so, and how far left it is.
    """
    for position, name in names.items():
        cells = [row[position] for row in sample if position < len(row) and trimmed(row[position])]
        numbers = sum(_is_number(cell, country) for cell in cells)
        share = numbers / len(cells) if cells else 0.0
        letters = _letters(name)
        is_surely_named = any(part in letters for part in _PARTS)
        is_named = is_surely_named or letters in _NAMES
        if is_named or share >= MIN_SHARE:
            yield is_named, share, is_surely_named, -position


def _is_number(cell: str, country: str | None) -> bool:
    number = msisdn.normalise(cell, country)
    return number is not None and len(number) > MIN_DIGITS


def _letters(name: str) -> str:
    """A name as _NAMES and _PARTS have it."""
    spread = unicodedata.normalize("NFKD", name[:MAX_NUMBER_COLUMN_NAME].lower())
    bare = "".join(character for character in spread if not "\u0300" <= character <= "\u036f")
    return _BETWEEN_LETTERS.sub("", unicodedata.normalize("NFC", bare))

"""However a number is written, and whatever is around it, a viewer sees three digits of it."""

from __future__ import annotations

import unicodedata
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from scfm.models.masking import DOT, masked, masked_text

SEPARATORS = (
    " \t()-./_\N{NO-BREAK SPACE}\N{THIN SPACE}\N{ZERO WIDTH SPACE}\N{EN DASH}\N{MINUS SIGN}\N{FULLWIDTH FULL STOP}"
)
ZEROS = "0\N{ARABIC-INDIC DIGIT ZERO}\N{KHMER DIGIT ZERO}\N{DEVANAGARI DIGIT ZERO}\N{FULLWIDTH DIGIT ZERO}"
# Digits that are no date, in whatever way they are grouped: no year begins with 7 to 9.
DIGITS = st.lists(st.integers(7, 9), min_size=7, max_size=15)
AROUND = st.text(st.characters(blacklist_categories=["Nd", "Cs"], blacklist_characters=SEPARATORS + "+"), max_size=20)


@st.composite
def written_numbers(draw: st.DrawFn) -> str:
    """A number in one script, with up to five separators between two digits, and perhaps a plus."""
    zero = ord(draw(st.sampled_from(ZEROS)))
    between = st.text(st.sampled_from(SEPARATORS), max_size=5)
    first, *others = [chr(zero + digit) for digit in draw(DIGITS)]
    return draw(st.sampled_from(["", "+"])) + first + "".join(draw(between) + digit for digit in others)


def digits_in(text: str) -> str:
    return "".join(str(unicodedata.decimal(one)) for one in text if one.isdecimal())


@given(number=written_numbers(), before=AROUND, after=AROUND)
def test_of_a_number_in_a_text_the_last_three_digits_are_seen(number: str, before: str, after: str) -> None:
    shown = masked_text(before + number + after)
    assert digits_in(shown) == digits_in(number)[-3:]
    assert len(shown) == len(before + number + after)
    assert shown.count(DOT) == (before + after).count(DOT) + len(digits_in(number)) - 3
    assert masked_text(shown) == shown


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def shape_of(value: Any) -> Any:
    """What a value is made of, without its names and values."""
    if isinstance(value, dict):
        return [shape_of(inner) for inner in value.values()]
    return [shape_of(inner) for inner in value] if isinstance(value, list) else None


@given(value=JSON)
def test_whatever_is_masked_keeps_its_shape_and_is_masked_once(value: Any) -> None:
    shown = masked({"metadata": value})
    assert shape_of(shown["metadata"]) == shape_of(value)
    assert masked(shown) == shown
    orjson.dumps(shown)

"""Phone numbers, whatever they are written like: one form each, and nothing that is not understood is left out."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from scfm.models.msisdn import BLANK, COUNTRIES, INVALID, check, national, normalise, stored_forms

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
DECIMALS = [one for one in CHARACTERS if one.isdecimal()]
DIGITS = {digit: [one for one in DECIMALS if unicodedata.decimal(one) == digit] for digit in range(10)}
DASHES = [one for one in CHARACTERS if unicodedata.category(one) == "Pd"]
BLANKS = [one for one in CHARACTERS if one.isspace()]
INVISIBLE = [one for one in CHARACTERS if unicodedata.category(one) == "Cf"]
# Without the dot, which may be a spreadsheet's.
DROPPED = [*DASHES, *BLANKS, *INVISIBLE, "\N{MINUS SIGN}", "/", "(", ")"]
TYPES = [kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN]
EXAMPLES: list[tuple[str, PhoneNumber]] = [
    (country, number)
    for country in sorted(COUNTRIES)
    for kind in TYPES
    if (number := phonenumbers.example_number_for_type(country, kind)) is not None
    and phonenumbers.is_possible_number(number)
    and phonenumbers.is_valid_number_for_region(number, country)
]

ANY_TEXT = st.text("0123456789+ -.()/;x٣３", max_size=24) | st.text()
A_COUNTRY = st.none() | st.sampled_from(sorted(COUNTRIES))


def e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def digits_of(number: PhoneNumber) -> str:
    """As it is dialled at home, with what is dialled before it."""
    written = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    return "".join(character for character in written if character.isdecimal())


@st.composite
def written_otherwise(draw: st.DrawFn, text: str) -> str:
    """TEXT with digits of other scripts, and with dropped characters anywhere."""
    parts = [draw(st.text(DROPPED, max_size=2))]
    for character in text:
        other = DIGITS[int(character)] if character.isdigit() else [character]
        parts += [draw(st.sampled_from(other)), draw(st.text(DROPPED, max_size=2))]
    return "".join(parts)


@st.composite
def cut(draw: st.DrawFn, text: str, between: st.SearchStrategy[str], lowest: int = 0) -> str:
    position = draw(st.integers(lowest, len(text)))
    return text[:position] + draw(between) + text[position:]


example = st.sampled_from(EXAMPLES)


@given(ANY_TEXT | st.integers() | st.floats(), A_COUNTRY)
def test_the_one_form_is_read_as_itself_in_every_country(value: object, country: str | None) -> None:
    number, messages = check(value, country)
    assert (number is None) == bool(messages)
    if number is not None:
        assert messages == []
        for anywhere in (None, country, "IT", "US", "RU", "KH"):
            assert check(number, anywhere) == (number, [])
        assert phonenumbers.is_possible_number(phonenumbers.parse(number))


@given(example)
def test_every_country_s_numbers_are_read_as_they_are(drawn: tuple[str, PhoneNumber]) -> None:
    _, number = drawn
    assert normalise(e164(number)) == e164(number)
    assert normalise(phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)) == e164(number)


@given(st.data())
def test_dropped_characters_and_other_scripts_digits_change_nothing(data: st.DataObject) -> None:
    country, number = data.draw(example)
    for text in (e164(number), "00" + e164(number)[1:], e164(number)[1:], digits_of(number)):
        assert check(data.draw(written_otherwise(text)), country) == check(text, country)


@given(st.data())
def test_dots_between_the_digits_change_nothing_unless_there_is_one_with_only_zeros_behind_it(
    data: st.DataObject,
) -> None:
    _, number = data.draw(example)
    text = e164(number)
    dotted = data.draw(cut(text, st.just(".")))
    if dotted.partition(".")[2].strip("0"):
        assert normalise(dotted) == text
    assert normalise(f"{text}.{'0' * data.draw(st.integers(0, 5))}") == text
    assert normalise(".".join(text)) == text


@given(st.data(), A_COUNTRY)
def test_any_other_character_makes_it_invalid(data: st.DataObject, country: str | None) -> None:
    _, number = data.draw(example)
    text = data.draw(st.sampled_from([e164(number), digits_of(number)]))
    other = st.sampled_from(";,+*#xe@:'\"~_&°²½①Ⅷ\0\N{KATAKANA-HIRAGANA PROLONGED SOUND MARK}") | st.characters(
        exclude_categories=["Nd", "Cf", "Pd", "Zs", "Zl", "Zp", "Cs"]
    ).filter(lambda one: not one.isspace() and one not in "./()−．／（）➖˗")
    behind_a_digit = text.startswith("+") + 1
    assert check(data.draw(cut(text, other, behind_a_digit)), country) == (None, [INVALID])


@given(example, example, st.text(DROPPED, max_size=3))
def test_two_texts_that_dial_the_same_have_one_form(
    one: tuple[str, PhoneNumber], other: tuple[str, PhoneNumber], between: str
) -> None:
    forms = [
        normalise(f"+{n.country_code}{between}{phonenumbers.national_significant_number(n)}") for _, n in (one, other)
    ]
    assert (forms[0] == forms[1]) == (e164(one[1]) == e164(other[1]))


@given(example, st.sampled_from(["", "+", "00"]))
def test_what_is_dialled_before_a_number_at_home_is_dropped_behind_the_country_code(
    drawn: tuple[str, PhoneNumber], before: str
) -> None:
    country, number = drawn
    # What is written at home goes without saying where several countries share a code: the first of them has it.
    if country == phonenumbers.region_code_for_country_code(number.country_code):
        assert normalise(f"{before}{number.country_code}{digits_of(number)}") == e164(number)


@given(example)
def test_a_national_number_of_the_default_country_is_its_international_one(drawn: tuple[str, PhoneNumber]) -> None:
    country, number = drawn
    significant = phonenumbers.national_significant_number(number)
    assert normalise(digits_of(number), country) == e164(number)
    assert normalise(significant, country) == e164(number)


@given(example)
def test_a_zero_that_a_spreadsheet_has_lost_makes_no_difference(drawn: tuple[str, PhoneNumber]) -> None:
    country, number = drawn
    lost = digits_of(number).lstrip("0")
    # It may be a whole number of that country without the zero: then it is that one.
    as_it_stands = national_reading(lost, country)
    assert normalise(lost, country) == (as_it_stands or e164(number))


def national_reading(digits: str, country: str) -> str | None:
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    home = number.country_code == phonenumbers.country_code_for_region(country)
    return e164(number) if home and phonenumbers.is_valid_number(number) else None


@given(ANY_TEXT, A_COUNTRY)
def test_a_number_with_its_country_code_said_never_depends_on_the_default_country(
    text: str, country: str | None
) -> None:
    for said in ("+", "00", " (+", "\N{FULLWIDTH PLUS SIGN}"):
        assert check(said + text, country) == check(said + text)


@given(st.text(st.characters(exclude_categories=["Nd", "Cs"]), max_size=300), A_COUNTRY)
def test_a_text_without_a_digit_is_blank(text: str, country: str | None) -> None:
    assert check(text, country) == (None, [BLANK])


@given(ANY_TEXT, A_COUNTRY)
def test_a_text_with_a_digit_is_a_number_or_an_invalid_one(text: str, country: str | None) -> None:
    if any(character.isdecimal() for character in text):
        number, messages = check(text, country)
        assert messages == ([] if number else [INVALID])


@given(ANY_TEXT, A_COUNTRY)
def test_a_number_is_looked_for_as_it_is_read_and_as_it_is_written_with_a_plus(
    text: str, country: str | None
) -> None:
    forms: Sequence[str] = stored_forms(text, country)
    number = normalise(text, country)
    assert (number in forms) == (number is not None)
    for form in set(forms) - {number}:
        assert form == text and form[0] == "+" and form[1:].isascii() and form[1:].isdigit()


@given(example)
def test_no_valid_number_is_taken_for_a_national_one_of_another_country(drawn: tuple[str, PhoneNumber]) -> None:
    for country in ("KH", "SO", "US", "IT", "DE"):
        assert national(e164(drawn[1]), country) is None


@pytest.mark.parametrize(
    ("written", "country", "stored"),
    [
        ("8 912 345 67 89", "RU", "+79123456789"),
        ("9123456789", "RU", "+79123456789"),
        ("8 800 555 35 35", "RU", "+78005553535"),
        ("06 698 12345", "IT", "+390669812345"),
        ("669812345", "IT", "+390669812345"),
        ("312 345 6789", "IT", "+393123456789"),
        ("07 07 07 07 07", "CI", "+2250707070707"),
        ("707070707", "CI", "+2250707070707"),
        ("06 20 123 4567", "HU", "+36201234567"),
        ("6201234567", "HU", "+36201234567"),
        ("55 1234 5678", "MX", "+525512345678"),
        ("011 15 2345-6789", "AR", "+5491123456789"),
        ("11 15 2345-6789", "AR", "+5491123456789"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("1 415 555 2671", "US", "+14155552671"),
        ("416 967 1111", "US", "+14169671111"),
        ("242 357 1234", "BS", "+12423571234"),
        ("615555555", "SO", "+252615555555"),
        ("0615555555", "SO", "+252615555555"),
        ("252 61 5555555", "SO", "+252615555555"),
        ("012 345 678", "KH", "+85512345678"),
        ("12345678", "KH", "+85512345678"),
        ("855 012 345 678", "KH", "+85512345678"),
        ("4915112345678", "KH", "+4915112345678"),
        ("4917639744448", "DE", "+4917639744448"),
        ("017639744448", "DE", "+4917639744448"),
        ("17639744448", "DE", "+4917639744448"),
        ("3907188200", "IT", "+393907188200"),
        ("461234567", "SE", "+46461234567"),
        ("+12345678", "KH", "+12345678"),
    ],
)
def test_countries_whose_numbers_are_particular(written: str, country: str, stored: str) -> None:
    assert check(written, country) == (stored, [])
    assert check(stored, country) == (stored, [])

"""Phone numbers: how they are written, which are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.models.msisdn import BLANK, INVALID, MAX_DIGITS, MAX_LENGTH, check, normalise


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("+252662345678", "+252662345678"),
        ("252662345678", "+252662345678"),
        ("252 66-(2)-345-678", "+252662345678"),
        (" +252 662 345 678\n", "+252662345678"),
        ("00252662345678", "+252662345678"),
        ("+00252662345678", "+252662345678"),
        (252662345678, "+252662345678"),
        ("tel:+252662345678", "+252662345678"),
        ("'+252662345678", "+252662345678"),
        ("(+252) 66/234.56.78", "+252662345678"),
        ("\ufeff\u202a+252\u00a066\u20112345\u2212678\u202c", "+252662345678"),
        ("٢٥٢٦٦٢٣٤٥٦٧٨", "+252662345678"),
        ("＋２５２（６６）２３４－５６７８", "+252662345678"),
        ("252662345678.0", "+252662345678"),
        ("252662345678.000 ", "+252662345678"),
        ("+252.66.234.5000", "+252662345000"),
        (252662345678.0, "+252662345678"),
        (" " * MAX_LENGTH + "252662345678", "+252662345678"),
        ("+85512٣345678", "+855123345678"),
        ("+85510202103", "+85510202103"),
        ("+15551234567", "+15551234567"),
        ("+2521234567", "+2521234567"),
    ],
)
def test_a_number_has_one_spelling(sent: object, stored: str) -> None:
    assert check(sent) == (stored, [])


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("+855 0 12 345 678", "+85512345678"),
        ("+855 00 12 345 678", "+85512345678"),
        ("+44 (0)20 7183 8750", "+442071838750"),
        ("+252 0 66 2345678", "+252662345678"),
        ("+39 06 698 12345", "+390669812345"),
        ("+225 07 07 07 07 07", "+2250707070707"),
        ("+7 8 912 345 67 89", "+79123456789"),
        ("+36 06 20 123 4567", "+36201234567"),
        ("+54 0 11 15 2345 6789", "+5491123456789"),
        ("+1 555 123 4567", "+15551234567"),
    ],
)
def test_a_trunk_prefix_is_dropped_but_not_a_zero_that_is_part_of_the_number(sent: str, stored: str) -> None:
    assert normalise(sent) == stored


@pytest.mark.parametrize("sent", [None, "", " ", "+", "()", "abc", "²", "a" * 70_000, True, [], {}, ["252662345678"]])
def test_what_has_no_digits_is_blank(sent: object) -> None:
    assert check(sent) == (None, [BLANK])


@pytest.mark.parametrize(
    "sent",
    [
        "345",
        "252123456",
        "+2520123456",
        "+25266234567812345",
        "0",
        "00",
        "+00",
        "0.0",
        "0123456789",
        "252+662345678",
        "++252662345678",
        "+252662345678+",
        "252662345678;9",
        "252662345678,9",
        "252662345678 or 9",
        "+4930123456 ext. 12",
        "sip:855@12.34.56.78",
        "sip:+85512345678@example.com",
        "2.52E+11",
        "+855²12345678",
        "phone: +252662345678",
        1.5,
        85512345678.5,
        -252662345678,
        1e300,
        float("inf"),
        "1" + " " * 70_000 + "2",
        "0" * MAX_DIGITS + "252662345678",
        "252662345678,0",
        "252662345678.0.0e",
        "1" * 300,
        "9" * 70_000,
        10**900,
    ],
)
def test_what_cannot_be_a_number_is_invalid(sent: object) -> None:
    assert normalise(sent) is None
    assert check(sent)[1] == [INVALID]


@given(st.text("0123456789+ -", max_size=20) | st.text() | st.integers())
def test_the_one_spelling_is_normalised_to_itself(sent: object) -> None:
    number = normalise(sent)
    assert (number is None) == bool(check(sent)[1])
    if number is not None:
        assert normalise(number) == number


@given(
    st.text("0123456789", min_size=7, max_size=9).filter(lambda national: national[0] != "0"),
    st.text(" -()/", max_size=5),
)
def test_what_is_no_digit_makes_no_difference(national: str, noise: str) -> None:
    assert normalise(noise + "252" + noise + national) == normalise(f"+252{national}")

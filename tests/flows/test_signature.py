"""Who may speak to the webhook: the signature, against Twilio's own examples and against hostile input."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from scfm.calls.signed_form import SignedForm

# The example of Twilio's security guide and of its libraries' tests.
TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": ["CA1234567890ABCDE"],
    "Digits": ["1234"],
    "From": ["+14158675309"],
    "To": ["+18005551212"],
    "Caller": ["+14158675309"],
}
SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def valid(token: str, url: str, form: Mapping[str, Sequence[str]], signature: str) -> bool:
    return SignedForm(url, form, signature).signed_with(token)


def signed(text: str, token: str = TOKEN) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def test_twilios_own_example_is_valid() -> None:
    assert valid(TOKEN, URL, FORM, SIGNATURE)


def test_the_port_may_be_in_the_signed_url_or_not() -> None:
    assert valid(TOKEN, URL.replace(".com", ".com:443"), FORM, SIGNATURE)
    with_port = "https://scfm.example:8443/api/remote_phone_call_events"
    assert valid(TOKEN, with_port, {}, signed(with_port))


def test_empty_fields_are_signed_too() -> None:
    fields = parse_qs("CallSid=CA1&Digits=&From=%2B252662345678", keep_blank_values=True)
    url = "https://scfm.example/api/remote_phone_call_events"
    assert valid(TOKEN, url, fields, signed(url + "CallSidCA1Digits" + "From+252662345678"))


def test_a_field_with_two_values_is_signed_with_both_in_order() -> None:
    url = "https://scfm.example/api/remote_phone_call_events"
    assert valid(TOKEN, url, {"Event": ["b", "a"]}, signed(url + "EventaEventb"))


def test_fields_that_are_not_ascii_are_signed_as_utf_8() -> None:
    url = "https://scfm.example/"
    assert valid(TOKEN, url, {"Name": ["ភូមិ"]}, signed(url + "Nameភូមិ"))


@pytest.mark.parametrize(
    ("token", "url", "form", "signature"),
    [
        ("12346", URL, FORM, SIGNATURE),
        (TOKEN, URL + "&baz=3", FORM, SIGNATURE),
        (TOKEN, URL.replace("https", "http"), FORM, SIGNATURE),
        (TOKEN, URL, {**FORM, "Digits": ["1235"]}, SIGNATURE),
        (TOKEN, URL, {**FORM, "Extra": [""]}, SIGNATURE),
        (TOKEN, URL, {}, SIGNATURE),
        (TOKEN, URL, FORM, ""),
        (TOKEN, URL, FORM, SIGNATURE[:-1]),
        (TOKEN, URL, FORM, SIGNATURE + "="),
        (TOKEN, URL, FORM, SIGNATURE.lower()),
        (TOKEN, URL, FORM, "\u212b" * len(SIGNATURE)),
    ],
)
def test_anything_else_is_not_valid(token: str, url: str, form: dict[str, list[str]], signature: str) -> None:
    assert not valid(token, url, form, signature)


def test_an_account_without_a_token_trusts_not_even_a_signature_made_with_none() -> None:
    assert not valid("", "https://scfm.example/", {}, signed("https://scfm.example/", token=""))


@pytest.mark.parametrize("url", ["", "http://[", "http://a:b/", "http://a:99999999/", "\ud800", "nowhere"])
def test_a_url_that_is_none_is_not_valid(url: str) -> None:
    assert not valid(TOKEN, url, FORM, SIGNATURE)


def test_a_body_hash_in_the_url_does_not_stand_in_for_the_fields() -> None:
    empty = hashlib.sha256(b"").hexdigest()
    url = f"https://scfm.example/?bodySHA256={empty}"
    assert valid(TOKEN, url, {}, signed(url))
    assert not valid(TOKEN, url, {"CallStatus": ["completed"]}, signed(url))


ANYTHING = st.text(st.characters(), max_size=20)  # lone surrogates, NULs and all


@given(ANYTHING, ANYTHING, st.dictionaries(ANYTHING, st.lists(ANYTHING, max_size=3), max_size=3), ANYTHING)
def test_nothing_hostile_is_valid_and_nothing_raises(
    token: str, url: str, form: dict[str, list[str]], signature: str
) -> None:
    assert not valid(token, url, form, signature)


class _Fields(dict[str, list[str]]):
    getlist = dict.__getitem__


PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
URLS = st.sampled_from([URL, "https://a.example:8443/b?c=d", "http://a.example:80/", "https://a.example"])


@given(PLAIN.filter(bool), URLS, st.dictionaries(PLAIN, st.lists(PLAIN, min_size=1, max_size=3), max_size=3))
def test_what_twilios_library_signs_is_valid_with_that_token_and_with_no_other(
    token: str, url: str, form: dict[str, list[str]]
) -> None:
    sent = SignedForm(url, form, RequestValidator(token).compute_signature(url, _Fields(form)))
    assert [sent.signed_with(one) for one in ("another " + token, token, token)] == [False, True, True]

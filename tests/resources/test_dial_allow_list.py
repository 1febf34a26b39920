"""The account setting ``dial_allow_list``: the numbers that call flows may connect people with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server import Client


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["+855 12 345 678", "115"], ["+85512345678", "115"]),
        ("+85512345678, 115", ["+85512345678", "115"]),
        (["85512345678", "+85512345678"], ["+85512345678"]),
        (["", None, " 115 "], ["115"]),
    ],
)
def test_numbers_are_kept_in_one_form_each(api: Client, given: Any, kept: list[str]) -> None:
    assert api.patch("/api/account", json={"dial_allow_list": given}).status == 204
    assert api.get("/api/account").json["settings"] == {"dial_allow_list": kept}


def test_a_form_has_a_list_too(api: Client) -> None:
    assert api.patch("/api/account", [("dial_allow_list[]", "115"), ("dial_allow_list[]", "116")]).status == 204
    assert api.get("/api/account").json["settings"] == {"dial_allow_list": ["115", "116"]}


def test_a_national_number_is_one_of_the_accounts_country(api: Client) -> None:
    assert api.patch("/api/account", {"default_country": "KH"}).status == 204
    assert api.patch("/api/account", json={"dial_allow_list": ["012 345 678"]}).status == 204
    assert api.get("/api/account").json["settings"]["dial_allow_list"] == ["+85512345678"]


@pytest.mark.parametrize("empty", [None, "", [], [None]])
def test_nothing_clears_the_list(api: Client, empty: Any) -> None:
    assert api.patch("/api/account", json={"dial_allow_list": ["115"]}).status == 204
    assert api.patch("/api/account", json={"dial_allow_list": empty}).status == 204
    assert api.get("/api/account").json["settings"] == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (115, "must be a list of phone numbers"),
        ({"0": "115"}, "must be a list of phone numbers"),
        ([115], "must be a list of phone numbers"),
        (["115", "12", "hotline"], "12 is an invalid number"),
        (["115"] * 101, "has too many numbers (maximum is 100)"),
    ],
)
def test_what_is_no_list_of_numbers_changes_nothing(api: Client, given: Any, message: str) -> None:
    assert api.patch("/api/account", json={"dial_allow_list": ["119"], "calls_per_second": 2}).status == 204
    answer = api.patch("/api/account", json={"dial_allow_list": given, "calls_per_second": 3})
    assert (answer.status, answer.json["errors"]["dial_allow_list"][0]) == (422, message)
    assert api.get("/api/account").json["settings"] == {"calls_per_second": 2.0, "dial_allow_list": ["119"]}

"""How filters compare texts (in NFC, trimmed), and how much a filter may hold."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize
from urllib.parse import quote

import pytest

from tests.resources.conftest import make
from tests.server import Client

VILLAGES = ("Kompong Chhnăng", "Xã Tân Phú", "Côte-d'Ivoire", "가평", "Ångström")
FORMS = ("NFC", "NFD")
BLANKS = (" ", "\t", "\u00a0", "\u202f", "\u3000", "\ufeff", "\n \u00a0")


def found(api: Client, path: str, q: Any) -> list[int]:
    answer = api.get(f"{path}?per_page=100", json={"q": q})
    assert answer.status == 200, answer
    assert answer.headers["Total"] == str(len(answer.json))
    return [one["id"] for one in answer.json]


@pytest.mark.parametrize("village", VILLAGES)
def test_a_text_is_found_in_whichever_form_it_is_stored_and_asked_for(api: Client, village: str) -> None:
    assert normalize("NFC", village) != normalize("NFD", village)
    numbers = [
        make(api, "/api/callouts", metadata={"village": normalize(form, village), "list": [normalize(form, village)]})
        for form in FORMS
    ]
    make(api, "/api/callouts", metadata={"village": "elsewhere", "list": ["elsewhere"]})
    for form in FORMS:
        given = normalize(form, village)
        assert found(api, "/api/callouts", {"metadata": {"village": given}}) == numbers
        assert found(api, "/api/callouts", {"metadata": {"list": {"0": given}}}) == numbers


@pytest.mark.parametrize("name", VILLAGES)
def test_a_name_is_found_in_whichever_form_it_is_stored_and_asked_for(api: Client, name: str) -> None:
    stored = [normalize(form, name) for form in FORMS]
    numbers = [make(api, "/api/callouts", metadata={one: {"a." + one: "v", "n": [one]}}) for one in stored]
    other = make(api, "/api/callouts", metadata={"elsewhere": "v"})
    for given in stored:
        assert found(api, "/api/callouts", {"metadata": {given: {"a." + given: "v"}}}) == numbers
        assert found(api, "/api/callouts", {"metadata": {given: {"n": {"0": given}}}}) == numbers
        assert found(api, "/api/callouts", {"metadata": {given: None}}) == [other]
        assert found(api, "/api/callouts", {"metadata": {given: {"missing": None}}}) == [*numbers, other]


@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
def test_blanks_around_a_given_value_do_not_count(api: Client, blank: str) -> None:
    plain = make(api, "/api/callouts", metadata={"village": "Luuq", "n": 5, "yes": True})
    make(api, "/api/callouts", metadata={"village": "Lu uq", "n": 55, "yes": False})
    for q in ({"village": f"{blank}Luuq{blank}"}, {"n": f"{blank}5"}, {"yes": f"true{blank}"}):
        assert found(api, "/api/callouts", {"metadata": q}) == [plain]
    assert found(api, "/api/callouts", {"status": f"{blank}initialized{blank},{blank}", "id": f"{blank}{plain}"}) == [
        plain
    ]
    assert found(api, "/api/callouts", {"created_at_before": f"{blank}2018-05-19{blank}"}) == []


@pytest.mark.parametrize("stored", [" Luuq ", "\u00a0", "  ", "\ufeffLuuq", "Xa\u0303 Ta\u0302n", "Xã Ta\u0302n"])
def test_what_is_stored_exactly_as_given_is_found(api: Client, stored: str) -> None:
    number = make(api, "/api/callouts", metadata={"village": stored})
    assert found(api, "/api/callouts", {"metadata": {"village": stored}}) == [number]


def test_composition_is_no_loss_of_accents(api: Client) -> None:
    make(api, "/api/callouts", metadata={"village": "Tan Phu"})
    assert found(api, "/api/callouts", {"metadata": {"village": "Tân Phú"}}) == []
    accented = make(api, "/api/callouts", metadata={"village": "Tân Phú"})
    assert found(api, "/api/callouts", {"metadata": {"village": "Tan Phu"}}) == [accented - 1]


def test_a_population_finds_a_village_in_both_forms(api: Client) -> None:
    numbers = [
        make(api, "/api/contacts", msisdn=f"+25266234567{n}", metadata={"village": normalize(form, "Xã Tân")})
        for n, form in enumerate(FORMS)
    ]
    make(api, "/api/contacts", msisdn="+252662345679", metadata={"village": "Luuq"})
    callout = make(api, "/api/callouts")
    for form in FORMS:
        parameters = {"contact_filter_params": {"metadata": {"village": "\u00a0" + normalize(form, "Xã Tân")}}}
        path = f"/api/callouts/{callout}/batch_operations"
        operation = make(api, path, type="BatchOperation::CalloutPopulation", parameters=parameters)
        preview = api.get(f"/api/batch_operations/{operation}/preview/contacts").json
        assert [one["id"] for one in preview] == numbers


def listed(count: int, value: str = "7") -> str:
    return ",".join([value] * count)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/contacts", "id"),
        ("/api/contacts", "msisdn"),
        ("/api/callouts", "status"),
        ("/api/callout_participations", "contact_id"),
        ("/api/callout_participations", "last_phone_call_attempt"),
        ("/api/callout_participations", "no_phone_calls_or_last_attempt"),
        ("/api/phone_calls", "remote_error_message"),
        ("/api/remote_phone_call_events", "phone_call_id"),
        ("/api/contacts/export", "id"),
    ],
)
def test_a_list_of_values_has_a_thousand_at_most(api: Client, path: str, name: str) -> None:
    assert api.get(path, json={"q": {name: listed(1000)}}).status == 200
    for value in (listed(1001), listed(30_000, ""), [listed(501), listed(500)], listed(5000, "252662345678")):
        answer = api.get(path, json={"q": {name: value}})
        message = f"q[{name}] has too many values (maximum is 1000)"
        assert (answer.status, answer.json) == (400, {"status": 400, "error": "Bad Request", "message": message})


def test_the_type_of_an_operation_is_such_a_list(api: Client) -> None:
    answer = api.get(f"/api/batch_operations?type={listed(1001)}")
    assert (answer.status, answer.json["message"]) == (400, "q[type] has too many values (maximum is 1000)")


def test_a_nested_filter_has_names_up_to_a_bound(api: Client) -> None:
    assert api.get("/api/callouts", json={"q": {"metadata": {f"name{n}": "v" for n in range(990)}}}).status == 200
    long: dict[str, Any] = {"a" * 20_000: {f"k{n}": "v" for n in range(50)}}
    deep: dict[str, Any] = {f"k{n}": "v" for n in range(900)}
    for _ in range(20):
        deep = {"n": deep}
    for q in (long, deep):
        answer = api.get("/api/callouts", json={"q": {"metadata": q}})
        message = "q[metadata] has too many names, or names that are too long"
        assert (answer.status, answer.json) == (400, {"status": 400, "error": "Bad Request", "message": message})


def test_a_filter_by_id_stands_in_a_query_string_too(api: Client) -> None:
    numbers = [make(api, "/api/callouts") for _ in range(3)]
    asked = quote(f"{numbers[2]} , {numbers[0]},x,0,{numbers[0]}")
    assert [one["id"] for one in api.get(f"/api/callouts?q[id]={asked}").json] == [numbers[0], numbers[2]]
    for nothing in ("=", "", "=0", "=-1", "=1.0", "=x", f"={2**70}"):
        assert api.get(f"/api/callouts?q[id]{nothing}").headers["Total"] == "0"

"""``GET /api/contacts/fields``: the fields and values that the account's contacts have."""

from __future__ import annotations

import json
import unicodedata
from typing import Any
from urllib.parse import quote

import pytest

from scfm.contacts_bulk import contact_fields
from scfm.contacts_bulk.contact_fields import contact_fields as count_fields
from scfm.contacts_bulk.contact_fields import contact_values as count_values
from scfm.models.contact import CONTACTS
from scfm.storage.change_log import BLOCK
from scfm.storage.store import Store
from tests.resources.conftest import Documents
from tests.resources.imports import JSON_LINES, send
from tests.server import Client

NFD = unicodedata.normalize("NFD", "Côte")
METADATA: list[dict[str, Any]] = [
    {"district": "Stung Treng", "address": {"city": "A", "zone": 5}, "tags": ["x"]},
    {"district": "Stung Treng", "address": {"city": "A", "zone": "5"}},
    {"district": "Kratie", "address": {"city": None}, "a.b": {"$c": True, "": 1.5}},
    {"district": NFD, "call_flow": 1},
    {"district": "Côte", "district ": " x "},
    {"district": ["a list"], "deep": {"b": {"c": {"d": 1, "e": {"f": 1}}}}},
    {"district": "x" * 201},
    {},
]


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"+2526612{number:05d}" for number in range(start, start + count)]


@pytest.fixture
def contacts(api: Client) -> None:
    lines = [
        json.dumps({"msisdn": number, "metadata": metadata})
        for number, metadata in zip(numbers(len(METADATA)), METADATA, strict=True)
    ]
    assert send(api, "\n".join(lines), JSON_LINES).json["created"] == len(METADATA)


def fields(api: Client, query: str = "") -> Any:
    answer = api.get(f"/api/contacts/fields{query}")
    assert answer.status == 200, answer
    return answer.json


def values(api: Client, path: str, query: str = "") -> dict[str | None, int]:
    found = fields(api, f"?path={quote(path)}{query}")
    assert found["path"] == path
    assert found["complete"]
    return {one["value"]: one["contacts"] for one in found["values"]}


@pytest.mark.usefixtures("contacts")
def test_the_paths_that_lead_to_values_are_listed_the_most_frequent_first(api: Client) -> None:
    assert fields(api) == {
        "contacts": 8,
        "fields": [
            {"path": "metadata.district", "contacts": 6},
            {"path": "metadata.address.city", "contacts": 2},
            {"path": "metadata.address.zone", "contacts": 2},
            *(
                {"path": path, "contacts": 1}
                for path in (
                    "metadata.a\\.b.",
                    "metadata.a\\.b.$c",
                    "metadata.call_flow",
                    "metadata.deep.b.c.d",
                    "metadata.district\\ ",
                )
            ),
        ],
        "omitted": 0,
        "complete": True,
    }


@pytest.mark.usefixtures("contacts")
def test_the_values_at_a_path_are_counted_the_most_frequent_first(api: Client) -> None:
    found = fields(api, "?path=metadata.district")
    assert found == {
        "path": "metadata.district",
        "contacts": 8,
        "values": [
            {"value": "Côte", "contacts": 2},
            {"value": "Stung Treng", "contacts": 2},
            {"value": None, "contacts": 1},
            {"value": "Kratie", "contacts": 1},
        ],
        "rest": {"values": 0, "contacts": 2},
        "complete": True,
    }


@pytest.mark.usefixtures("contacts")
@pytest.mark.parametrize(
    ("path", "q"),
    [
        ("metadata.district", "q[metadata][district]"),
        ("metadata.address.zone", "q[metadata][address][zone]"),
        ("metadata.a\\.b.$c", "q[metadata][a.b][$c]"),
        ("metadata.district\\ ", "q[metadata][district ]"),
    ],
)
def test_a_filter_finds_as_many_contacts_as_are_told(api: Client, path: str, q: str) -> None:
    listed = values(api, path)
    assert listed
    for value, count in listed.items():
        given = "" if value is None else f"={quote(value)}"
        assert int(api.get(f"/api/contacts?{quote(q)}{given}").headers["Total"] or 0) == count, value


@pytest.mark.usefixtures("contacts")
def test_a_filter_narrows_whose_fields_are_counted(api: Client) -> None:
    assert values(api, "metadata.address.city", "&q[metadata][district]=Kratie") == {None: 1}
    assert fields(api, "?q[metadata][district]=Stung+Treng")["contacts"] == 2
    # What may change without an announcement is counted anew each time.
    assert fields(api, "?q[updated_at_after]=2000-01-01")["contacts"] == 8
    assert fields(api, "?q[updated_at_before]=2000-01-01")["fields"] == []
    assert values(api, "metadata.district", "&q[updated_at_after]=2000-01-01")["Côte"] == 2


@pytest.mark.usefixtures("contacts")
def test_changes_show_at_once(api: Client) -> None:
    assert "Ratanakiri" not in values(api, "metadata.district")
    contact = api.get("/api/contacts").json[0]
    api.patch(f"/api/contacts/{contact['id']}", json={"metadata": {"district": "Ratanakiri"}})
    assert values(api, "metadata.district")["Ratanakiri"] == 1
    api.delete(f"/api/contacts/{contact['id']}")
    assert "Ratanakiri" not in values(api, "metadata.district")


@pytest.mark.usefixtures("contacts")
def test_what_flows_remember_is_not_told(api: Client, database: Documents) -> None:
    contact = api.get("/api/contacts").json[0]
    database["contacts"].update_one({"_id": contact["id"]}, {"$set": {"metadata.call_flow_data": {"Flow": {"x": 1}}}})
    assert "call_flow_data" not in json.dumps(fields(api))
    assert "call_flow_data" not in json.dumps(fields(api, "?q[updated_at_after]=2000-01-01"))
    answer = api.get("/api/contacts/fields?path=metadata.call_flow_data.Flow.x")
    assert answer.json["errors"] == {"path": ["cannot be what call flows remember"]}


@pytest.mark.usefixtures("contacts")
def test_another_account_has_fields_of_its_own(stranger: Client) -> None:
    assert fields(stranger) == {"contacts": 0, "fields": [], "omitted": 0, "complete": True}
    assert values(stranger, "metadata.district") == {}


def test_viewers_see_masked_numbers_among_the_values(api: Client) -> None:
    send(api, json.dumps({"msisdn": numbers(1)[0], "metadata": {"neighbour": "+252662345678"}}), JSON_LINES)
    token = api.post("/api/access_tokens", json={"role": "viewer"}).json["token"]
    viewer = Client(api.server, token)
    assert list(values(viewer, "metadata.neighbour")) == ["+•••••••••678"]


@pytest.mark.parametrize("path", ["district", "metadata.", "metadata", "metadata." + "a." * 40, "[]", "metadata.a\\"])
def test_a_path_that_is_none_is_refused_or_finds_nobody(api: Client, path: str) -> None:
    answer = api.get(f"/api/contacts/fields?path={quote(path)}")
    assert answer.status == 422 or answer.json["contacts"] == 0
    assert api.get("/api/contacts/fields?path[]=x").status == 422


def test_more_values_and_fields_than_are_listed_are_counted(api: Client) -> None:
    lines = [
        json.dumps({"msisdn": number, "metadata": {"village": f"v{place}", f"f{place:03d}": 1}})
        for place, number in enumerate(numbers(250))
    ]
    send(api, "\n".join(lines), JSON_LINES)
    found = fields(api, "?path=metadata.village")
    assert (len(found["values"]), found["rest"]) == (200, {"values": 50, "contacts": 50})
    assert (len(fields(api)["fields"]), fields(api)["omitted"]) == (200, 51)


# Many contacts


async def stored(store: Store, count: int) -> Any:
    """The list of so many contacts of a new account, each with a village of its own and one of two districts."""
    (account,) = await store.counters.ids("account").allocate(1)
    await store.all_tenants.insert("accounts", {"_id": account})
    view = store.for_account(account)
    ids = await store.counters.ids("contact").allocate(count)
    documents = [
        {"_id": one, "msisdn": f"+25261{one:07d}", "metadata": {"village": f"v{one}", "district": f"d{one % 2}"}}
        for one in ids
    ]
    await view.insert_many(CONTACTS.collection, documents)
    return view.list_of(CONTACTS.query(None, None))


async def test_all_blocks_are_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_fields, "PROBE_BYTES", 0)
    contacts = await stored(store, 3 * BLOCK)
    found = await count_values(contacts, ("district",))
    assert {one["contacts"] for one in found["values"]} == {3 * BLOCK // 2}
    assert (await count_fields(contacts))["fields"] == [
        {"path": "metadata.district", "contacts": 3 * BLOCK},
        {"path": "metadata.village", "contacts": 3 * BLOCK},
    ]


async def test_mongodb_counts_what_is_counted_here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await stored(store, 1)
    (account,) = [one["_id"] for one in await store.all_tenants.find("accounts", {})]
    view = store.for_account(account)
    ids = await store.counters.ids("contact").allocate(len(METADATA))
    documents = [
        {"_id": one, "msisdn": f"+25261{one:07d}", "metadata": metadata}
        for one, metadata in zip(ids, METADATA, strict=True)
    ]
    await view.insert_many(CONTACTS.collection, documents)
    contacts = view.list_of(CONTACTS.query(None, None))
    paths = [("district",), ("address", "zone"), ("a.b", "$c"), ("deep", "b"), ("district ",), ("tags", "0")]
    here = [await count_fields(contacts), *[await count_values(contacts, path) for path in paths]]
    monkeypatch.setattr(contact_fields, "PROBE_BYTES", 0)
    assert [await count_fields(contacts), *[await count_values(contacts, path) for path in paths]] == here


@pytest.mark.parametrize("probe", [0, 1 << 16])
async def test_too_many_values_are_told_of_the_first(
    store: Store, monkeypatch: pytest.MonkeyPatch, probe: int
) -> None:
    monkeypatch.setattr(contact_fields, "MAX_FIELD_VALUES", 500)
    monkeypatch.setattr(contact_fields, "PROBE_BYTES", probe)
    monkeypatch.setattr(contact_fields, "SAMPLE_BYTES", 1000)
    contacts = await stored(store, 2 * BLOCK)
    found = await count_values(contacts, ("village",))
    assert not found["complete"]
    assert 0 < found["contacts"] < 2 * BLOCK
    assert found["contacts"] == sum(one["contacts"] for one in found["values"]) + found["rest"]["contacts"]


async def test_what_takes_too_long_is_told_of_the_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    contacts = await stored(store, 2 * BLOCK)
    monkeypatch.setattr(contact_fields, "PROBE_BYTES", 0)
    monkeypatch.setattr(contact_fields, "COUNT_SECONDS", 0)
    monkeypatch.setattr(contact_fields, "SAMPLE_BYTES", 1000)
    found = await count_fields(contacts)
    assert (found["complete"], len(found["fields"])) == (False, 2)
    monkeypatch.setattr(contact_fields, "COUNT_SECONDS", 60)
    assert (await count_fields(contacts))["complete"]

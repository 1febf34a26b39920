"""What a flow remembers is the server's: clients read it, and nothing that they send changes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.flows.phone_line import (
    PhoneLine,
    contact_of,
    environment,
    new_sid,
    outbound,
    participation,
    standstill,
)
from tests.server import Answer, Client, Server

SHORT = "CallFlowLogic::AvfCapom::CapomShort"
CSV, JSON_LINES = "text/csv", "application/x-ndjson"
MODES = ("merge", "replace", "deep_merge", "nonsense")
GIVEN: list[Any] = [None, "gone", {}, {"Tally": None}, {"Tally": {"keys": ["9"]}}, {"Other": {"a": 1}}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with standstill() as provider:
        flows = {
            "REGISTERED_CALL_FLOW_LOGIC": f"tests.flows.odd_flows:Tally,{SHORT}",
            "DEFAULT_CALL_FLOW_LOGIC": "Tally",
        }
        with Server(tmp_path_factory.mktemp("memory") / "data", environment(provider, **flows)) as server:
            yield server


_numbers = iter(range(1000, 10_000))


class Call:
    """An inbound call in which 1 has been pressed: the paths of the phone call and of its contact."""

    def __init__(self, line: PhoneLine, client: Client, flow: str = "Tally") -> None:
        self.client, self.line = client, line
        self.number, self.sid = f"+25266235{next(_numbers)}", new_sid()
        assert self.press("1").status == 201
        self.contact = f"/api/contacts/{contact_of(client, self.number)['id']}"
        (call,) = client.get(f"/api/phone_calls?q[remote_call_id]={self.sid}").json
        self.call = f"/api/phone_calls/{call['id']}"
        # So that clients may change it (a call that came in has no request parameters to speak of).
        self.settable = {"remote_request_params": {"from": "1234", "url": "http://example.org"}}

    def press(self, keys: str) -> Answer:
        return self.line.report(self.sid, From=self.number, Digits=keys)

    def metadata(self, path: str) -> Any:
        return self.client.get(path).json["metadata"]


@pytest.fixture
def call(line: PhoneLine, client: Client) -> Call:
    return Call(line, client)


MEMORY = {"Tally": {"keys": ["1"]}}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("given", GIVEN)
def test_no_update_changes_what_a_flow_remembers(call: Call, mode: str, given: Any) -> None:
    for path in (call.contact, call.call):
        body = {"metadata": {"call_flow_data": given, "name": "Alice"}, "metadata_merge_mode": mode, **call.settable}
        assert call.client.patch(path, json=body).status == 204
        assert call.metadata(path) == {"call_flow_data": MEMORY, "name": "Alice"}


@pytest.mark.parametrize("mode", MODES)
def test_an_update_of_everything_else_keeps_it(call: Call, mode: str) -> None:
    for path in (call.contact, call.call):
        for metadata in ({"a": {"b": 1}}, {}):
            body = {"metadata": metadata, "metadata_merge_mode": mode, **call.settable}
            assert call.client.put(path, json=body).status == 204
        assert call.metadata(path)["call_flow_data"] == MEMORY
        assert ("a" in call.metadata(path)) == (mode != "replace")


def test_a_form_cannot_set_it_either(call: Call) -> None:
    form = {"metadata[call_flow_data][Tally][keys][]": "9", "[metadata][call_flow_data][x]": "9", "metadata[a]": "1"}
    assert call.client.patch(call.contact, form).status == 204
    assert call.metadata(call.contact) == {"call_flow_data": MEMORY, "a": "1"}


def test_an_update_that_gives_it_alone_changes_nothing(call: Call) -> None:
    before = call.client.get(call.contact).json
    for mode in MODES:
        body = {"metadata": {"call_flow_data": {}}, "metadata_merge_mode": mode}
        assert call.client.patch(call.contact, json=body).status == 204
    assert call.client.get(call.contact).json == before


def test_nothing_is_created_with_one(client: Client) -> None:
    metadata = {"call_flow_data": {"Tally": {"keys": ["9"]}}, "name": "Alice"}
    contact = client.post("/api/contacts", json={"msisdn": "+252662350001", "metadata": metadata})
    assert (contact.status, contact.json["metadata"]) == (201, {"name": "Alice"})
    nested = participation(client, "+252662350002", "Tally") + "/phone_calls"
    made = client.post(
        nested, json={"metadata": metadata, "remote_request_params": {"from": "1", "url": "http://x.y"}}
    )
    assert (made.status, made.json["metadata"]) == (201, {"name": "Alice"})


def test_the_metadata_of_other_resources_is_the_clients_alone(client: Client) -> None:
    metadata = {"call_flow_data": {"any": "thing"}}
    assert client.post("/api/callouts", json={"metadata": metadata}).json["metadata"] == metadata


def send(client: Client, content: str | bytes, kind: str, query: str = "") -> Any:
    body = content if isinstance(content, bytes) else content.encode()
    answer = client.post("/api/contacts/import" + query, body=body, headers={"Content-Type": kind})
    assert answer.status == 200, answer
    return answer.json


@pytest.mark.parametrize("mode", MODES)
def test_no_import_changes_it(call: Call, mode: str) -> None:
    query = f"?metadata_merge_mode={mode}"
    csv = f"msisdn,call_flow_data,call_flow_data.Tally.keys,name\n{call.number},x,9,Alice\n"
    assert send(call.client, csv, CSV, query)["updated"] == 1
    assert call.metadata(call.contact) == {"call_flow_data": MEMORY, "name": "Alice"}
    metadata = {"call_flow_data": {"Tally": {"keys": ["9"]}}, "name": "Alicia"}
    assert (
        send(call.client, json.dumps({"msisdn": call.number, "metadata": metadata}), JSON_LINES, query)["updated"]
        == 1
    )
    assert call.metadata(call.contact) == {"call_flow_data": MEMORY, "name": "Alicia"}


def test_an_import_makes_no_contact_with_one(client: Client) -> None:
    send(client, "msisdn,call_flow_data.Tally.keys\n+252662350003,9\n", CSV)
    line = {"msisdn": "+252662350004", "metadata": {"call_flow_data": {"deep": 2**70}}}
    assert send(client, json.dumps(line), JSON_LINES)["created"] == 1
    for number in ("+252662350003", "+252662350004"):
        assert contact_of(client, number)["metadata"] == {}


def exported(client: Client, chosen: str, number: str, **more: str) -> str:
    query = "&".join(
        f"{name}={value}" for name, value in {"format": chosen, "q[msisdn]": quote(number), **more}.items()
    )
    answer = client.get(f"/api/contacts/export?{query}")
    assert answer.status == 200, answer
    return str(answer.json)


@pytest.mark.parametrize(("chosen", "kind"), [("csv", CSV), ("jsonl", JSON_LINES)])
def test_an_export_has_it_when_asked_and_can_be_imported_again(call: Call, chosen: str, kind: str) -> None:
    call.client.patch(call.contact, {"metadata[name]": "Alice"})
    assert "call_flow_data" not in exported(call.client, chosen, call.number)
    assert "call_flow_data" not in exported(call.client, chosen, call.number, call_flow_data="false")
    content = exported(call.client, chosen, call.number, call_flow_data="true")
    assert "call_flow_data" in content
    before = call.client.get(call.contact).json
    for query in ("", "?metadata_merge_mode=replace"):
        assert send(call.client, content, kind, query)["unchanged"] == 1
    assert call.client.get(call.contact).json == before


def test_an_export_that_is_told_neither_yes_nor_no_is_refused(client: Client) -> None:
    answer = client.get("/api/contacts/export?call_flow_data=perhaps")
    assert (answer.status, answer.json) == (422, {"errors": {"call_flow_data": ["must be true or false"]}})


def test_filters_find_by_it(call: Call) -> None:
    (found,) = call.client.get(
        f"/api/contacts?q[metadata][call_flow_data][Tally][keys][0]=1&q[msisdn]={quote(call.number)}"
    ).json
    assert found["metadata"]["call_flow_data"] == MEMORY


def test_a_survey_goes_on_where_it_was_when_an_export_of_before_is_imported(line: PhoneLine, client: Client) -> None:
    number = "+252662350005"
    _, sid = outbound(client, number, SHORT)
    told = {"Direction": "outbound-api", "To": number}

    def hear(keys: str = "") -> str:
        return str(line.report(sid, **told, **({"Digits": keys} if keys else {})).json)

    hear()
    assert "gathering_received_transfer" in hear()
    files = {
        kind: exported(client, chosen, number, call_flow_data="true")
        for chosen, kind in (("csv", CSV), ("jsonl", JSON_LINES))
    }
    assert "gathering_fee_paid" in hear("1")
    assert "recording_goods_purchased" in hear("2")
    for kind, content in files.items():
        send(client, content, kind)
        send(client, content, kind, "?metadata_merge_mode=replace")
    send(client, f"msisdn,name\n{number},Alicia\n", CSV)
    assert "gathering_safe_at_venue" in hear()
    metadata = contact_of(client, number)["metadata"]
    assert metadata["name"] == "Alicia"
    assert metadata["call_flow_data"][SHORT]["status"] == "gathering_safe_at_venue"


def test_a_large_memory_takes_no_room_from_the_client(call: Call) -> None:
    """A flow fills its memory; the client may still fill the metadata to its own bound, and change it."""
    large = {str(number): "x" * 60_000 for number in range(12)}
    for turn in range(8):  # each 30 KB of keys
        assert call.press(str(turn) * 30_000).status == 201
    for part in range(2):
        metadata = {"part": part, **{f"{part} {name}": value for name, value in list(large.items())[:8]}}
        assert call.client.patch(call.contact, json={"metadata": metadata}).status == 204
    assert call.client.patch(call.contact, json={"metadata": {"name": "Alice"}}).status == 204
    found = call.metadata(call.contact)
    assert (found["name"], len(found["call_flow_data"]["Tally"]["keys"])) == ("Alice", 9)
    answer = call.client.patch(call.contact, json={"metadata": {"more": "x" * 60_000, **large}})
    assert answer.status == 422

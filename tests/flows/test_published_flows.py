"""Calls through call flows that are documents: a real server, and the provider's side of its webhook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.phone_line import PhoneLine, at_once, environment, outbound, standstill
from tests.server import Answer, Client, Server, wait_until

FLOWS = "/api/call_flows"
MENU = {"digits": {"1": "told"}, "repeat": 3, "otherwise": "end", "as": "key"}
OUTBOUND = {"Direction": "outbound-api", "From": "345"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("published")
    with standstill() as provider, Server(folder / "data", environment(provider)) as server:
        yield server


def asking(words: str) -> dict[str, Any]:
    """A definition that asks for key 1, and then says WORDS."""
    steps = {
        "ask": {
            "say": {"en": f"Press 1 for {words}."},
            "menu": MENU,
        },
        "told": {"say": {"en": words}, "next": "end"},
        "end": {"hang_up": True},
    }
    return {"languages": ["en"], "start": "ask", "steps": steps}


def published(client: Client, name: str, words: str) -> str:
    """The path of a flow whose newest version says WORDS."""
    found = client.get(f"{FLOWS}?q[name]={name}").json
    if found:
        path = f"{FLOWS}/{found[0]['id']}"
        assert client.patch(path, json={"definition": asking(words)}).status == 204
    else:
        made = client.post(FLOWS, json={"name": name, "definition": asking(words)})
        assert made.status == 201, made
        path = made.headers["Location"]
    assert client.post(f"{path}/publish", {}).status == 201
    return path


def turn(line: PhoneLine, sid: str, msisdn: str, **fields: str) -> str:
    answer: Answer = line.report(sid, **OUTBOUND, To=msisdn, **fields)
    assert answer.status == 201, answer
    return str(answer.json)


def test_a_call_ends_on_the_version_that_it_began_with(client: Client, line: PhoneLine) -> None:
    published(client, "steady", "old words")
    path, sid = outbound(client, "+252662000001", "steady")
    assert "Press 1 for old words." in turn(line, sid, "+252662000001")
    published(client, "steady", "new words")
    assert "<Say>old words</Say>" in turn(line, sid, "+252662000001", Digits="1")
    assert client.get(path).json["metadata"]["call_flow_data"]["steady"]["version"] == 1
    _, next_sid = outbound(client, "+252662000002", "steady")
    assert "Press 1 for new words." in turn(line, next_sid, "+252662000002")


def test_what_is_answered_is_kept_with_the_person(client: Client, line: PhoneLine) -> None:
    published(client, "asked", "words")
    path, sid = outbound(client, "+252662000003", "asked")
    for fields in ({}, {"Digits": "1"}):
        turn(line, sid, "+252662000003", **fields)
    call = client.get(path).json
    person = client.get(f"/api/callout_participations/{call['callout_participation_id']}").json
    assert person["answers"] == {"key": "1"}
    contact = client.get(f"/api/contacts/{call['contact_id']}").json
    assert contact["metadata"]["call_flow_data"] == {"asked": {"key": "1"}}


def test_the_versions_of_two_first_turns_that_race_are_one(client: Client, line: PhoneLine) -> None:
    flow = published(client, "raced", "old words")
    path, sid = outbound(client, "+252662000004", "raced")
    assert client.patch(flow, json={"definition": asking("new words")}).status == 204
    at_once(
        lambda: line.report(sid, **OUTBOUND, To="+252662000004"),
        lambda: client.post(f"{flow}/publish", {}),
        lambda: line.report(sid, **OUTBOUND, To="+252662000004"),
    )
    version = client.get(path).json["metadata"]["call_flow_data"]["raced"]["version"]
    words = {1: "old words", 2: "new words"}[version]
    assert f"<Say>{words}</Say>" in turn(line, sid, "+252662000004", Digits="1")


def test_a_plan_may_have_a_published_flow(client: Client) -> None:
    published(client, "planned", "words")
    plan = {"audience": {}, "remote_request_params": {"from": "345"}, "inline_twiml": True}
    callout = client.post("/api/callouts", json={"call_flow_logic": "planned", "plan": plan}).headers["Location"]
    told = client.post(f"{callout}/preflight", {}).json
    assert [one for one in (*told["blockers"], *told["warnings"]) if "flow" in one] == [
        "inline_twiml is not possible: planned begins with a <Gather>, after which the server is asked for more; "
        "leave inline_twiml out, or change the flow"
    ]


def test_a_start_with_the_flow_of_the_documentation_is_a_warning_in_the_log(client: Client, server: Server) -> None:
    published(client, "own", "words")
    started = {
        name: client.post("/api/callouts", json={"call_flow_logic": name}).json["id"]
        for name in ("own", None, "CallFlowLogic::Message", "CallFlowLogic::Application")
    }
    for callout in started.values():
        assert client.post(f"/api/callouts/{callout}/callout_events", {"event": "start"}).status == 201
    last = f"callout {started['CallFlowLogic::Application']} of"
    wait_until(lambda: any(last in line and "example" in line for line in server.stderr))
    warned = [line for line in server.stderr if "the documentation's example" in line]
    told = {name for name, callout in started.items() if any(f"callout {callout} of" in line for line in warned)}
    assert told == {None, "CallFlowLogic::Application"}

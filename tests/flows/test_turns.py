"""Whole conversations through a real server: turn by turn, many at once, and with a provider that errs."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.simulator.callee import Callee, CalleeRule
from scfm.simulator.faults import Faults
from scfm.simulator.simulator import Simulator
from tests.flows.phone_line import (
    FINAL,
    PATH,
    SID,
    TOKEN,
    PhoneLine,
    at_once,
    contact_of,
    environment,
    events_of,
    new_sid,
    outbound,
    participation,
    place_call,
    standstill,
)
from tests.server import Client, Server, wait_until
from tests.torture.carrier import Carrier
from tests.torture.databases import free_port

SHORT, LONG = "CallFlowLogic::AvfCapom::CapomShort", "CallFlowLogic::AvfCapom::CapomLong"
EXAMPLES = ",".join(f"examples.flows:{name}" for name in ("FloodWarning", "WaterSurvey", "AlertHotline"))
REGISTERED = {"REGISTERED_CALL_FLOW_LOGIC": f"{SHORT},{LONG},{EXAMPLES},tests.flows.odd_flows:Tally"}
EVENTS = "initiated ringing answered completed"

# What a callee does to see each survey to its end, and the states that he goes through.
SHORT_CALLEE = Callee(digits=("1", "2", "1"), recordings=(4.0,))
SHORT_STATES = [
    "playing_introduction",
    "gathering_received_transfer",
    "gathering_fee_paid",
    "recording_goods_purchased",
    "gathering_safe_at_venue",
    "playing_completed_survey_message",
    "finished",
]
LONG_CALLEE = Callee(digits=("1", "200", "1", "15", "1", "1", "7", "1", "2", "40", "2", "1"), recordings=(3.0,))
LONG_STATES = [
    "playing_introduction",
    "gathering_received_transfer",
    "gathering_received_transfer_amount",
    "gathering_paid_for_transport",
    "gathering_paid_for_transport_amount",
    "gathering_safe_at_venue",
    "gathering_fee_paid",
    "gathering_fee_paid_amount",
    "recording_goods_purchased",
    "gathering_item_availability",
    "gathering_idp_status",
    "gathering_water_availability",
    "gathering_sickness",
    "gathering_preferred_transfer_modality",
    "playing_completed_survey_message",
    "finished",
]
REFUSING_CALLEE = Callee(digits=("2",), recordings=(2.0,))
REFUSING_STATES = [
    "playing_introduction",
    "gathering_received_transfer",
    "recording_transfer_not_received_reason",
    "playing_transfer_not_received_exit_message",
    "finished",
]
SURVEYS = [
    pytest.param(SHORT, "+25266241", SHORT_STATES, id="short"),
    pytest.param(LONG, "+25266242", LONG_STATES, id="long"),
    pytest.param(SHORT, "+25266243", REFUSING_STATES, id="short, not received"),
    pytest.param(LONG, "+25266243", REFUSING_STATES, id="long, not received"),
]
CALLEES = [
    CalleeRule(SHORT_CALLEE, prefix="+25266241"),
    CalleeRule(LONG_CALLEE, prefix="+25266242"),
    CalleeRule(REFUSING_CALLEE, prefix="+25266243"),
    CalleeRule(Callee(digits=("1",)), prefix="+25266244"),
]
_numbers = itertools.count(1000)


def new_number(prefix: str) -> str:
    """The number of a callee, as the prefix has him, whom nobody has called before."""
    return f"{prefix}{next(_numbers)}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose calls stand still at the carrier, so that a test can say what becomes of them."""
    folder: Path = tmp_path_factory.mktemp("turns")
    with (
        standstill() as provider,
        Server(folder / "data", environment(provider, **REGISTERED, DEFAULT_CALL_FLOW_LOGIC="Tally")) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """A server that soon asks what has become of a call, and the port on which a test may open its carrier."""
    port = free_port()
    told = environment(
        f"http://127.0.0.1:{port}",
        **REGISTERED,
        DEFAULT_CALL_FLOW_LOGIC=SHORT,
        STATUS_CHECK="always",
        STATUS_CHECK_SECONDS="0.5",
        UNKNOWN_GRACE_SECONDS="0.2",
    )
    with Server(tmp_path_factory.mktemp("conversations") / "data", told) as server:
        yield server, port


@contextmanager
def opened(port: int, **options: Any) -> Iterator[Carrier]:
    """A carrier on the port, with the callees of this file."""
    with Carrier(port, callees=CALLEES, **options) as provider:
        yield provider
    # The server must not take a connection for good that this carrier has closed: the next one is on the same port.
    wait_until(lambda: not connected(port))


def connected(port: int) -> bool:
    """Whether anybody still has a connection to the port, as far as the system tells."""
    table = Path("/proc/net/tcp")
    sockets = [line.split()[2:4] for line in table.read_text().splitlines()[1:]] if table.exists() else []
    return any(remote.endswith(f":{port:04X}") and state in ("01", "08") for remote, state in sockets)


def conversation(server: Server, msisdn: str, flow: str) -> Any:
    """Call a callee, as the carrier's rules have him, and give the phone call once it has ended."""
    client, url = server.client(), server.url + PATH
    path = place_call(
        client,
        participation(client, msisdn, flow),
        url=url,
        status_callback=url,
        status_callback_event=EVENTS,
    )
    return wait_until(lambda: ended(client, path), 30)


def ended(client: Client, path: str) -> Any:
    call = client.get(path).json
    return call if call["status"] in FINAL and call["remotely_queued_at"] else None


def memory(client: Client, msisdn: str, flow: str) -> Any:
    return contact_of(client, msisdn)["metadata"]["call_flow_data"][flow]


def states(memory: dict[str, Any]) -> list[str]:
    """The states that a survey has gone through, by the ids of the events that led to them."""
    by = {
        event: name.removeprefix("transitioned_to_").removesuffix("_by")
        for name, event in memory.items()
        if name != "status"
    }
    return [by[event] for event in sorted(by)]


# Whole conversations


@pytest.mark.parametrize(("flow", "prefix", "wanted"), SURVEYS)
def test_a_survey_is_walked_to_its_end(place: tuple[Server, int], flow: str, prefix: str, wanted: list[str]) -> None:
    server, port = place
    client, msisdn = server.client(), new_number(prefix)
    with opened(port):
        call = conversation(server, msisdn, flow)
        kept = wait_until(lambda: finished(client, msisdn, flow))
    assert (call["status"], call["remote_status"]) == ("completed", "completed")
    assert states(kept) == wanted
    events = client.get(f"/api/phone_calls/{call['id']}/remote_phone_call_events?per_page=100").json
    assert {event["remote_call_id"] for event in events} == {call["remote_call_id"]}
    assert {event["call_flow_logic"] for event in events} == {flow}
    reports = [event["details"] for event in events if "SequenceNumber" in event["details"]]
    assert [report["CallStatus"] for report in reports] == ["initiated", "ringing", "in-progress", "completed"]
    turns = [event["details"] for event in events if "SequenceNumber" not in event["details"]]
    assert len(turns) >= len(wanted) - 2
    assert [turn["RecordingDuration"] for turn in turns if "RecordingUrl" in turn]


def finished(client: Client, msisdn: str, flow: str) -> Any:
    kept = memory(client, msisdn, flow)
    return kept if kept["status"] == "finished" else None


@pytest.mark.parametrize(
    "faults",
    [
        "callback_lost=0.7",
        "callback_doubled=1",
        "callback_shuffled=1",
        "callback_early=1",
        "callback_lost=0.3,callback_doubled=0.3,callback_shuffled=0.3,callback_early=0.5",
        "callback_lost=0.2,callback_early=0.5,drop_after=0.3,error_after=0.3,malformed=0.3",
    ],
)
def test_whatever_becomes_of_the_callbacks_the_end_is_the_same(place: tuple[Server, int], faults: str) -> None:
    server, port = place
    client = server.client()
    calls = []
    with opened(port, faults=Faults.parse(faults)) as provider:
        for flow, prefix, wanted in (one.values for one in SURVEYS[:3]):
            msisdn = new_number(str(prefix))
            call = conversation(server, msisdn, str(flow))
            calls.append(call)
            assert (call["status"], call["remote_status"]) == ("completed", "completed"), call
            assert call["remote_direction"] == "outbound-api"
            kept = states(memory(client, msisdn, str(flow)))
            # The last step is the report that the call is over, which may be lost.
            assert kept in (wanted, list(wanted)[:-1])
            assert provider.rung()[msisdn] == [call["remote_call_id"]]
    for call in calls:
        assert {event["remote_call_id"] for event in events_of(client, call)} == {call["remote_call_id"]}


def test_several_calls_to_one_number_at_once_each_keep_their_own_events(place: tuple[Server, int]) -> None:
    server, port = place
    client, url = server.client(), server.url + PATH
    told = {"url": url, "status_callback": url, "status_callback_event": EVENTS}
    with opened(port, faults=Faults(callback_early=1.0)):
        one = participation(client, new_number("+25266244"), "Tally")
        paths = [place_call(client, one, **told) for _ in range(4)]
        calls = [wait_until(lambda path=path: ended(client, path), 30) for path in paths]
        assert {call["status"] for call in calls} == {"completed"}
        assert len({call["remote_call_id"] for call in calls}) == 4
        # A call has ended for us before its last report is written down.
        every = [wait_until(lambda call=call: all_five(client, call)) for call in calls]
    for call, events in zip(calls, every, strict=True):
        assert {event["remote_call_id"] for event in events} == {call["remote_call_id"]}


def all_five(client: Client, call: Any) -> Any:
    events = events_of(client, call)
    return events if len(events) == 5 else None


# Calls that come in


async def ring_in(server: Server, msisdn: str, callee: Callee) -> list[str]:
    """Somebody calls the server; what he is asked, told and played."""
    simulator = Simulator(account_sid=SID, auth_token=TOKEN)
    await simulator.start()
    try:
        url = server.url + PATH
        transcript = await simulator.carrier.ring_in(msisdn, "+252661000000", url, callee, status_callback=url)
    finally:
        await simulator.stop()
    return [entry.get("text") or entry["url"] for entry in transcript.events("say", "play")]


async def test_a_caller_walks_a_survey_of_ours(place: tuple[Server, int]) -> None:
    callee = Callee(digits=("1", "3", "2", "1"), recordings=(4.0,))
    heard = await ring_in(place[0], "+252662350005", callee)
    client = place[0].client()
    (call,) = await asyncio.to_thread(lambda: client.get("/api/phone_calls?q[msisdn]=252662350005").json)
    kept = await asyncio.to_thread(memory, client, "+252662350005", SHORT)
    assert states(kept) == SHORT_STATES
    assert (call["status"], call["call_flow_logic"]) == ("completed", SHORT)
    files = [url.rpartition("/")[2].removesuffix(".wav") for url in heard]
    assert files == [*SHORT_STATES[:3], "did_not_understand_response", *SHORT_STATES[2:-1]]


async def test_the_hotline_asks_once_and_knows_the_caller_the_next_time(tmp_path: Path) -> None:
    told = environment("http://127.0.0.1:9", **REGISTERED, DEFAULT_CALL_FLOW_LOGIC="AlertHotline")
    with Server(tmp_path / "data", told) as server:
        first = await ring_in(server, "+252662350006", Callee(digits=("2",)))
        again = await ring_in(server, "+252662350006", Callee())
        assert first[0].startswith("Press 1 if you live in Kandal")
        assert first[-1].endswith("/alerts/takeo/newest.wav")
        assert again == first[-1:]
        client = server.client()
        assert len(await asyncio.to_thread(lambda: client.get("/api/contacts").json)) == 1
        calls = await asyncio.to_thread(lambda: client.get("/api/phone_calls").json)
        assert [call["status"] for call in calls] == ["completed", "completed"]


# Many at once


def test_twenty_first_reports_of_one_new_call_make_one_contact_and_one_call(line: PhoneLine, client: Client) -> None:
    for attempt in range(3):
        call_sid, number = new_sid(), f"+25266235010{attempt}"
        answers = at_once(*[lambda: line.report(call_sid, From=number)] * 20)  # noqa: B023
        assert [answer.status for answer in answers] == [201] * 20
        (call,) = client.get(f"/api/phone_calls?q[remote_call_id]={call_sid}").json
        assert call["contact_id"] == contact_of(client, number)["id"]
        events = client.get(f"/api/phone_calls/{call['id']}/remote_phone_call_events").headers["Total"]
        assert int(events) == 20


def test_twenty_new_calls_of_one_new_caller_make_one_contact(line: PhoneLine, client: Client) -> None:
    answers = at_once(*[lambda: line.report(From="+252662350110")] * 20)
    assert [answer.status for answer in answers] == [201] * 20
    contact = contact_of(client, "+252662350110")
    assert client.get(f"/api/contacts/{contact['id']}/phone_calls").headers["Total"] == "20"


def test_turns_of_one_call_at_once_lose_nothing(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662350111", "Tally")
    keys = [str(key) for key in range(20)]
    told = {"Direction": "outbound-api", "To": "+252662350111"}
    at_once(*[lambda key=key: line.report(call_sid, Digits=key, **told) for key in keys])
    kept = client.get(path).json["metadata"]["call_flow_data"]["Tally"]["keys"]
    assert sorted(kept) == sorted(keys)
    assert memory(client, "+252662350111", "Tally")["keys"] == kept


def test_turns_of_one_call_at_two_servers_at_once_lose_nothing(mongod: PrivateMongod, tmp_path: Path) -> None:
    told = environment(
        "http://127.0.0.1:9",
        **REGISTERED,
        DEFAULT_CALL_FLOW_LOGIC="Tally",
        MONGODB_URI=mongod.uri,
        MONGODB_DATABASE="turns",
    )
    with Server(tmp_path / "one", told) as one, Server(tmp_path / "other", told) as other:
        lines, client = [PhoneLine(one), PhoneLine(other)], one.client()
        number, calls = "+252662350115", [new_sid(), new_sid()]
        keys = {str(key): calls[key % 4 // 2] for key in range(60)}
        answers = at_once(
            *[
                lambda key=key, sid=sid: lines[int(key) % 2].report(sid, From=number, Digits=key)
                for key, sid in keys.items()
            ]
        )
        assert [answer.status for answer in answers] == [201] * len(keys)
        assert sorted(memory(client, number, "Tally")["keys"]) == sorted(keys)
        for call_sid in calls:
            (call,) = client.get(f"/api/phone_calls?q[remote_call_id]={call_sid}").json
            kept = call["metadata"]["call_flow_data"]["Tally"]["keys"]
            assert sorted(kept) == sorted(key for key in keys if keys[key] == call_sid)


def test_calls_of_one_contact_at_once_lose_nothing(line: PhoneLine, client: Client) -> None:
    number = "+252662350112"
    keys = {str(key): new_sid() for key in range(10)}
    answers = at_once(*[lambda key=key: line.report(keys[key], From=number, Digits=key) for key in keys])
    assert [answer.status for answer in answers] == [201] * len(keys)
    assert sorted(memory(client, number, "Tally")["keys"]) == sorted(keys)
    for key, call_sid in keys.items():
        (call,) = client.get(f"/api/phone_calls?q[remote_call_id]={call_sid}").json
        assert call["metadata"]["call_flow_data"]["Tally"]["keys"] == [key]


def test_what_a_client_writes_meanwhile_is_not_lost_and_loses_nothing(line: PhoneLine, client: Client) -> None:
    path, call_sid = outbound(client, "+252662350113", "Tally")
    contact = f"/api/contacts/{client.get(path).json['contact_id']}"
    told = {"Direction": "outbound-api", "To": "+252662350113"}
    keys = [str(key) for key in range(8)]
    answers = at_once(
        *[lambda key=key: line.report(call_sid, Digits=key, **told) for key in keys],
        *[lambda key=key: client.patch(contact, {f"metadata[of_{key}]": key}) for key in keys],
        *[lambda key=key: client.patch(path, {f"metadata[of_{key}]": key}) for key in keys],
    )
    assert Counter(answer.status for answer in answers) == {201: 8, 204: 16}
    for where in (contact, path):
        metadata = client.get(where).json["metadata"]
        assert sorted(metadata["call_flow_data"]["Tally"]["keys"]) == keys
        assert {name: metadata[name] for name in metadata if name != "call_flow_data"} == {
            f"of_{key}": key for key in keys
        }


# A flow of one's own


def test_a_flow_of_ones_own_hears_its_callout_and_remembers_per_contact_and_per_call(
    line: PhoneLine, client: Client
) -> None:
    path, call_sid = outbound(client, "+252662350114", "FloodWarning")
    callout = client.get(f"/api/callout_participations/{client.get(path).json['callout_participation_id']}").json
    message = {"metadata[message]": "The Mekong is rising."}
    assert client.patch(f"/api/callouts/{callout['callout_id']}", message).status == 204
    told = {"Direction": "outbound-api", "To": "+252662350114"}
    assert "The Mekong is rising. Press 1 if you are safe." in line.report(call_sid, **told).json
    assert "You are safe" in line.report(call_sid, Digits="1", **told).json
    assert client.get(path).json["metadata"] == {"call_flow_data": {"FloodWarning": {"warned": 1}}}
    assert memory(client, "+252662350114", "FloodWarning") == {"safe": True}

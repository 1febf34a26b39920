"""The server and the simulator against programs that others wrote: ``emulate`` as provider, Twilio's Node library.

Not collected by ``make test``, which needs no Node: ``make peers`` runs it.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import soundfile
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from scfm.calls.signed_form import SignedForm
from scfm.simulator.callee import Callee, CalleeRule
from scfm.simulator.simulator import Simulator
from tests.flows.phone_line import PATH, PhoneLine, contact_of, participation, place_call
from tests.peers.node import TwilioForNode, emulator, playing_emulator, running
from tests.server import Client, Server, wait_until
from tests.sounds import sound, tone, upload

SID, TOKEN = "AC" + "5" * 32, "a token of our own"
OURS, CONTACT = "+15551230000", "+252662360001"
WORDS = "From phone number is not owned by this account"


@pytest.fixture(scope="module")
def twilio() -> Iterator[TwilioForNode]:
    with running("signatures.cjs") as process:
        yield TwilioForNode(process)


# Twilio's library for Node

URLS = [
    "https://alerts.example.org/api/remote_phone_call_events",
    "https://alerts.example.org:443/api/remote_phone_call_events",
    "https://alerts.example.org:8443/api/remote_phone_call_events",
    "http://127.0.0.1:3000/api/remote_phone_call_events",
    "https://alerts.example.org/api/remote_phone_call_events?village=1&name=",
    "https://alerts.example.org/api/remote_phone_call_events?name=%E1%9E%97%E1%9E%BC%E1%9E%98%E1%9E%B7&x=a+b%20c",
    "https://alerts.example.org/a%2Fb/api/remote_phone_call_events?a[b]=c'd",
    "https://user:pass@alerts.example.org/api/remote_phone_call_events",
]
FORMS: list[dict[str, Any]] = [
    {},
    {"CallSid": "CA1", "From": "+252662345678", "To": "345"},
    {"CallSid": "CA1", "Digits": "", "SpeechResult": ""},
    {"SpeechResult": "ភូមិ", "CallerName": "Ünal 🌊", "ឈ្មោះ": "1"},
    {"a[b]": "1", "$c": "2", "d.e": "3", "Z": "4", "_": "5", "": "6"},
    {"Event": ["b", "a", "b"], "Single": ["x"]},
    {"line": "one\r\ntwo", "nul": "\0", "amp": "a&b=c"},
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("fields", FORMS)
def test_what_nodes_twilio_signs_is_valid_here(twilio: TwilioForNode, url: str, fields: dict[str, Any]) -> None:
    signed = twilio.sign(TOKEN, url, fields)
    as_lists = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    assert SignedForm(url, as_lists, signed).signed_with(TOKEN)
    assert not SignedForm(url, as_lists, signed).signed_with(TOKEN + "x")
    assert not SignedForm(url, {**as_lists, "More": ["1"]}, signed).signed_with(TOKEN)


class Listener(RequestHandler):
    """An application that is asked for TwiML: keeps each request, and gathers until it has heard something."""

    def initialize(self, heard: list[tuple[str, str, str, bytes]]) -> None:
        self.heard = heard

    def post(self) -> None:
        request = self.request
        self.heard.append(
            (request.method or "", request.full_url(), request.headers["X-Twilio-Signature"], request.body)
        )
        answered = self.get_argument("SpeechResult", "") or request.method == "GET"
        gather = '<Gather input="dtmf speech" actionOnEmptyResult="true"/>'
        self.set_header("Content-Type", "text/xml")
        self.finish(f"<Response>{'<Hangup/>' if answered else gather}</Response>")

    get = post


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("query", ["", "?village=1&name=%E1%9E%97+x&empty="])
async def test_what_the_simulator_signs_is_valid_for_nodes_twilio(
    twilio: TwilioForNode, method: str, query: str
) -> None:
    heard: list[tuple[str, str, str, bytes]] = []
    socket, port = bind_unused_port()
    server = HTTPServer(Application([(".*", Listener, {"heard": heard})]))
    server.add_socket(socket)
    callee = Callee(after=0.0, speech=(None, "ភូមិ របស់ខ្ញុំ & 50% + 🌊"))
    simulator = Simulator(account_sid=SID, auth_token=TOKEN, callees=[CalleeRule(callee, prefix="+")])
    base = await simulator.start()
    url = f"http://127.0.0.1:{port}/hook{query}"
    form = {
        "To": CONTACT,
        "From": "345",
        "Url": url,
        "Method": method,
        "StatusCallback": url,
        "StatusCallbackMethod": method,
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }
    try:
        made = await asyncio.to_thread(
            requests.post, f"{base}/2010-04-01/Accounts/{SID}/Calls.json", data=form, auth=(SID, TOKEN), timeout=5
        )
        assert made.status_code == 201
        async with asyncio.timeout(10):
            while not any(b"completed" in body or "=completed" in url for _, url, _, body in heard):
                await asyncio.sleep(0.01)
    finally:
        await simulator.stop()
        server.stop()
        await server.close_all_connections()
    assert {used for used, *_ in heard} >= {method}
    assert len(heard) >= 5
    for used, url, signed, body in heard:
        fields = {name: values[-1] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        assert (used == "GET") == (not fields)
        assert twilio.valid(TOKEN, signed, url, fields)
        assert not twilio.valid(TOKEN, signed, url, {**fields, "More": "1"})


def test_the_server_takes_what_nodes_twilio_signs(twilio: TwilioForNode, tmp_path: Path) -> None:
    told = {
        "PUBLIC_URL": "https://alerts.example.org:8443/scfm",
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": TOKEN,
    }
    with Server(tmp_path / "data", told) as server:
        line = PhoneLine(server, SID, TOKEN)
        for number, path in enumerate((PATH, f"{PATH}?a[b]=%E1%9E%97'c+d&empty=")):
            fields = line.fields(Digits="", SpeechResult="ភូមិ 🌊", RecordingUrl="https://a.example/?b=c&d=%20")
            signed = twilio.sign(TOKEN, told["PUBLIC_URL"] + path, fields)
            assert line.send(fields, path, headers={"X-Twilio-Signature": signed}).status == 201
            behind = twilio.sign(TOKEN, server.url + path, fields)
            assert line.send(fields, path, headers={"X-Twilio-Signature": behind}).status == 403
            events = server.client().get(PATH).json
            assert len(events) == number + 1
            assert events[-1]["details"] == fields


# emulate as the provider


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server whose provider is emulate, and emulate's URL."""
    folder: Path = tmp_path_factory.mktemp("peers")
    told = {
        "PLATFORM_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "UNKNOWN_GRACE_SECONDS": "0.2",
        "REGISTERED_CALL_FLOW_LOGIC": "CallFlowLogic::AvfCapom::CapomShort",
    }
    with Server(folder / "data", told) as server, emulator(SID, TOKEN, OURS, server.url + PATH) as url:
        # The provider must know where the server is before it starts, and the server where the provider is.
        port = str(server.port)
        server.terminate()
        server.environment["TWILIO_CLIENT_REST_API_BASE_URL"] = url
        server.options = ("--port", port)
        with server:
            yield server, url


def test_a_recording_is_played_to_who_is_called(tmp_path: Path) -> None:
    told = {"PLATFORM_PROVIDER": "twilio", "TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": TOKEN}
    with (
        Server(tmp_path / "data", told) as server,
        playing_emulator(SID, TOKEN, OURS, server.url + PATH) as (url, played),
    ):
        port = str(server.port)
        server.terminate()
        server.environment["TWILIO_CLIENT_REST_API_BASE_URL"] = url
        server.options = ("--port", port)
        with server:
            client = server.client()
            made = upload(client, sound(tone(3.0, 44100, 2), 44100), name="flood-km").json
            message = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"audio": {"km": "flood-km"}}}
            callout = client.post("/api/callouts", json=message).json["id"]
            contact = client.post("/api/contacts", {"msisdn": CONTACT}).json["id"]
            among = f"/api/callouts/{callout}/callout_participations"
            called = client.post(among, {"contact_id": str(contact)}).json["id"]
            assert client.post(f"/api/callouts/{callout}/callout_events", {"event": "start"}).status == 201
            webhook = {"url": server.url + PATH, "status_callback": server.url + PATH}
            place_call(client, f"/api/callout_participations/{called}", **{"from": OURS, **webhook})
            heard = json.loads(played.readline())
            assert heard["url"] == server.url + made["url"]
            assert (heard["status"], heard["type"]) == (200, "audio/wav")
            with soundfile.SoundFile(io.BytesIO(base64.b64decode(heard["content"]))) as phone:
                assert (phone.samplerate, phone.channels, phone.subtype) == (8000, 1, "ULAW")
                assert phone.frames == pytest.approx(24000, abs=10)


@pytest.fixture
def client(place: tuple[Server, str]) -> Client:
    return place[0].client()


def at_emulate(place: tuple[Server, str], path: str, **form: str) -> Any:
    """A request to emulate with the account's credentials; its answer."""
    answer = requests.post(place[1] + path, data=form, auth=(SID, TOKEN), timeout=10)
    assert answer.ok, answer.text
    return answer.json()


def call(place: tuple[Server, str], **params: Any) -> tuple[str, Any]:
    """A call that emulate has taken: its path, and how it then is."""
    server, _ = place
    client = server.client()
    path = place_call(client, participation(client, CONTACT), **{"from": OURS, "url": server.url + PATH, **params})
    return path, wait_until(lambda: placed(client, path))


def placed(client: Client, path: str) -> Any:
    found = client.get(path).json
    return found if found["remotely_queued_at"] else None


def told(client: Client, path: str) -> list[str]:
    events = client.get(f"{path}/remote_phone_call_events").json
    return [event["details"]["CallStatus"] for event in events]


def test_a_call_is_placed_fetched_and_hung_up(place: tuple[Server, str], client: Client) -> None:
    path, taken = call(place)
    assert taken["remote_call_id"].startswith("CA")
    assert (taken["status"], taken["remote_status"]) == ("remotely_queued", "ringing")
    assert taken["remote_queue_response"]["sid"] == taken["remote_call_id"]
    assert fetched(client, path)["status"] == "in_progress"
    at_emulate(place, f"/2010-04-01/Accounts/{SID}/Calls/{taken['remote_call_id']}.json", Status="completed")
    ended = fetched(client, path)
    assert (ended["status"], ended["remote_status"]) == ("completed", "completed")
    assert ended["remote_response"]["status"] == "completed"


def fetched(client: Client, path: str) -> Any:
    before = client.get(path).json["updated_at"]
    assert client.post(f"{path}/phone_call_events", {"event": "queue_remote_fetch"}).status == 201
    return wait_until(lambda: settled(client, path, before))


def settled(client: Client, path: str, before: str) -> Any:
    found = client.get(path).json
    return found if found["updated_at"] != before and found["status"] != "remote_fetch_queued" else None


def test_callbacks_that_come_before_the_answer_to_create_find_their_call(
    place: tuple[Server, str], client: Client
) -> None:
    path, taken = call(place, status_callback=place[0].url + PATH)
    assert told(client, path) == ["queued", "ringing"]
    assert taken["status"] == "in_progress"
    assert taken["remote_queue_response"]["sid"] == taken["remote_call_id"]
    for status in ("in-progress", "completed"):
        at_emulate(place, "/_twilio/simulate/call-status", CallSid=taken["remote_call_id"], Status=status)
    assert client.get(path).json["status"] == "completed"
    at_emulate(place, "/_twilio/simulate/call-status", CallSid=taken["remote_call_id"], Status="ringing")
    ended = client.get(path).json
    assert (ended["status"], ended["remote_status"]) == ("completed", "completed")
    assert told(client, path) == ["queued", "ringing", "in-progress", "completed", "ringing"]


def test_calls_to_one_number_at_once_are_told_apart(place: tuple[Server, str], client: Client) -> None:
    server, _ = place
    one = participation(client, CONTACT)
    wanted = {"from": OURS, "url": server.url + PATH, "status_callback": server.url + PATH}
    # emulate answers no create before its callbacks are answered, so that nothing can tell whose they are until then.
    paths = [place_call(client, one, **wanted) for _ in range(3)]
    calls = [wait_until(lambda path=path: placed(client, path), 40) for path in paths]
    assert len({one["remote_call_id"] for one in calls}) == 3
    assert {one["status"] for one in calls} == {"in_progress"}
    assert sorted(status for path in paths for status in told(client, path)) == ["queued"] * 3 + ["ringing"] * 3


def test_a_hang_up_is_told_by_callback(place: tuple[Server, str], client: Client) -> None:
    path, taken = call(place, status_callback=place[0].url + PATH)
    at_emulate(place, f"/2010-04-01/Accounts/{SID}/Calls/{taken['remote_call_id']}.json", Status="no-answer")
    assert client.get(path).json["status"] == "not_answered"


def test_a_refusal_is_kept_in_the_providers_words(place: tuple[Server, str]) -> None:
    _, refused = call(place, **{"from": "+15559999999"})
    assert refused["status"] == "errored"
    assert refused["remote_error_message"] == f"Unable to create record: {WORDS}"


def test_a_call_that_comes_in_hears_the_flow(place: tuple[Server, str], client: Client) -> None:
    came = at_emulate(place, "/_twilio/simulate/inbound-call", To=OURS, From="+252662360002")
    contact = contact_of(client, "+252662360002")
    (found,) = client.get(f"/api/contacts/{contact['id']}/phone_calls").json
    assert (found["remote_call_id"], found["status"]) == (came["sid"], "in_progress")
    at_emulate(place, "/_twilio/simulate/call-status", CallSid=came["sid"], Status="completed")
    assert client.get(f"/api/phone_calls/{found['id']}").json["status"] == "completed"

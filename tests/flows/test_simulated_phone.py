"""The simulated phone walks an application's TwiML as Twilio documents it, and tells it how the call goes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from twilio.request_validator import RequestValidator

from scfm.simulator.call import Call
from scfm.simulator.call_options import CallOptions, Form
from scfm.simulator.callee import Callee, CalleeRule
from scfm.simulator.carrier import Carrier
from scfm.simulator.faults import Faults
from scfm.simulator.simulator import Simulator
from scfm.simulator.transcript import Transcript
from scfm.simulator.webhook_client import MAX_ANSWER, ApplicationUnreachable, WebhookClient, is_local

pytestmark = pytest.mark.gen_test

SID, TOKEN, NUMBER = "AC" + "1" * 32, "secret", "+252662345678"


class Webhook(NamedTuple):
    """A request that the application got."""

    method: str
    path: str
    parameters: dict[str, str]
    signed: bool


class Village:
    """An application of a few TwiML documents, by path. It writes down every request, and checks its signature."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.webhooks: list[Webhook] = []
        self.url = ""

    def to(self, path: str) -> list[dict[str, str]]:
        """The parameters of the requests to a path."""
        return [webhook.parameters for webhook in self.webhooks if webhook.path == path]

    def take(self, request: HTTPServerRequest) -> tuple[int, str, dict[str, str]]:
        """Write a request down, and give the answer to it."""
        url = f"{self.url}{request.uri}"
        body = {name: values[-1].decode() for name, values in request.body_arguments.items()}
        every = {name: values[-1].decode() for name, values in request.arguments.items()}
        signature = request.headers.get("X-Twilio-Signature", "")
        signed = RequestValidator(TOKEN).validate(url, body, signature)
        self.webhooks.append(Webhook(request.method or "", request.path, every, signed))
        path = request.path
        return self.statuses.get(path, 200), self.documents.get(path, ""), self.headers.get(path, {})


class Page(RequestHandler):
    def initialize(self, village: Village) -> None:
        self.village = village

    def get(self) -> None:
        status, body, headers = self.village.take(self.request)
        self.set_status(status)
        self.set_header("Content-Type", "application/xml")
        for name, value in headers.items():
            self.set_header(name, value)
        self.finish(f"<Response>{body}</Response>" if body.startswith("<") else body)

    post = get


@asynccontextmanager
async def talking(
    documents: Mapping[str, str], callee: Callee | None = None, **options: Any
) -> AsyncIterator[tuple[Village, Carrier]]:
    """An application with these documents, and a carrier whose every callee is this one."""
    village = Village()
    village.documents.update(documents)
    listener, port = bind_unused_port()
    village.url = f"http://127.0.0.1:{port}"
    server = HTTPServer(Application([(r"/.*", Page, {"village": village})], log_function=lambda _: None))
    server.add_socket(listener)
    rules = [CalleeRule(callee or Callee(after=0.0))]
    simulator = Simulator(account_sid=SID, auth_token=TOKEN, life_size=0.001, callees=rules, **options)
    await simulator.start()
    try:
        yield village, simulator.carrier
    finally:
        await simulator.stop()
        server.stop()
        await server.close_all_connections()


def place(carrier: Carrier, **parameters: Any) -> Any:
    """Make a call as the REST API does."""
    form = Form(
        {
            name: [text.encode() for text in ([value] if isinstance(value, str) else value)]
            for name, value in {"To": NUMBER, "From": "1234", **parameters}.items()
        }
    )
    return carrier.place(SID, TOKEN, form, carrier.count_request(form))


async def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


async def ring(carrier: Carrier, url: str, **parameters: Any) -> Transcript:
    """Make a call to a document, wait until it is over, and give what happened."""
    call = place(carrier, Url=url, **parameters)
    await until(lambda: call.ended and call.task is None)
    transcript = carrier.transcript(call.sid)
    assert transcript is not None
    return transcript


async def walk(documents: Mapping[str, str], callee: Callee | None = None) -> tuple[Transcript, Village]:
    """What happens in a call that begins at the document ``/``."""
    async with talking(documents, callee) as (village, carrier):
        return await ring(carrier, f"{village.url}/"), village


def said(transcript: Transcript) -> list[str]:
    return [entry["text"] for entry in transcript.events("say")]


def presses(*digits: str | None) -> Callee:
    return Callee(after=0.0, digits=digits)


async def test_the_first_document_is_asked_for_with_the_parameters_of_twilio_signed() -> None:
    transcript, village = await walk({"/": "<Say>Water is rising</Say><Hangup/><Say>never</Say>"})
    webhook = village.webhooks[0]
    assert (webhook.method, webhook.signed) == ("POST", True)
    assert webhook.parameters == {
        "AccountSid": SID,
        "ApiVersion": "2010-04-01",
        "CallSid": webhook.parameters["CallSid"],
        "CallStatus": "in-progress",
        "Called": NUMBER,
        "Caller": "1234",
        "Direction": "outbound-api",
        "From": "1234",
        "To": NUMBER,
    }
    assert said(transcript) == ["Water is rising"]
    assert transcript.events("hangup")[0]["by"] == "application"


async def test_a_get_carries_the_parameters_in_the_query_and_is_signed_over_it() -> None:
    async with talking({"/start": "<Hangup/>"}) as (village, carrier):
        await ring(carrier, f"{village.url}/start?lang=km", Method="GET")
    webhook = village.webhooks[0]
    assert (webhook.method, webhook.signed, webhook.parameters["lang"]) == ("GET", True, "km")
    assert webhook.parameters["CallStatus"] == "in-progress"


async def test_the_end_of_the_document_hangs_up() -> None:
    transcript, _ = await walk({"/": "<Play>alarm.wav</Play><Pause/>"})
    assert [entry["event"] for entry in transcript] == ["requested", "play", "pause", "hangup"]
    assert transcript.events("play")[0]["url"].endswith("/alarm.wav")
    assert transcript.events("hangup")[0]["by"] == "end of document"


async def test_a_gather_sends_the_digits_to_its_action() -> None:
    gather = "<Gather numDigits='1' action='answers?q=1'><Say>Press 1</Say></Gather><Say>Nothing</Say>"
    transcript, village = await walk({"/": gather, "/answers": "<Say>Thanks</Say>"}, presses("123"))
    assert [parameters["Digits"] for parameters in village.to("/answers")] == ["1"]
    assert village.to("/answers")[0]["q"] == "1"
    assert all(webhook.signed for webhook in village.webhooks)
    assert said(transcript) == ["Press 1", "Thanks"]


async def test_a_gather_without_an_action_asks_for_its_own_document_again() -> None:
    _, village = await walk({"/": "<Gather/>"}, presses("1", "22#3", None))
    assert [parameters.get("Digits") for parameters in village.to("/")] == [None, "1", "22"]


async def test_a_gather_that_hears_nothing_falls_through() -> None:
    transcript, village = await walk({"/": "<Gather timeout='7'/><Say>Goodbye</Say>"}, presses(None))
    assert len(village.webhooks) == 1
    assert transcript.events("silence")[0]["seconds"] == 7
    assert said(transcript) == ["Goodbye"]


async def test_a_gather_waits_five_seconds_unless_told_otherwise() -> None:
    transcript, _ = await walk({"/": "<Gather/><Gather timeout='soon'/>"}, presses())
    assert [entry["seconds"] for entry in transcript.events("silence")] == [5, 5]
    assert "timeout='soon'" in transcript.events("warning")[0]["message"]


async def test_a_gather_may_want_to_know_of_silence() -> None:
    gather = "<Gather action='/next' actionOnEmptyResult='true' method='GET'/>"
    _, village = await walk({"/": gather, "/next": "<Hangup/>"}, presses(None))
    assert [parameters["Digits"] for parameters in village.to("/next")] == [""]
    assert village.webhooks[-1].method == "GET"


async def test_another_finish_key_ends_the_input_and_the_hash_is_then_a_digit() -> None:
    gather = "<Gather finishOnKey='*' action='/next'/>"
    _, village = await walk({"/": gather, "/next": "<Hangup/>"}, presses("1#2*3"))
    assert village.to("/next")[0]["Digits"] == "1#2"


async def test_a_gather_of_speech_hears_speech() -> None:
    callee = Callee(after=0.0, digits=("1",), speech=("the bridge is gone",))
    gather = "<Gather input='speech' action='/next'/>"
    _, village = await walk({"/": gather, "/next": "<Hangup/>"}, callee)
    answer = village.to("/next")[0]
    assert (answer["SpeechResult"], answer["Confidence"]) == ("the bridge is gone", "0.95")
    assert "Digits" not in answer


async def test_only_prompts_can_be_nested_in_a_gather() -> None:
    gather = "<Gather><Say>One</Say><Play>two.wav</Play><Pause/><Hangup/></Gather>"
    transcript, _ = await walk({"/": gather}, presses())
    events = [entry["event"] for entry in transcript]
    assert events == ["requested", "say", "play", "pause", "warning", "gather", "silence", "hangup"]


async def test_a_recording_goes_to_its_action() -> None:
    record = "<Record maxLength='10' action='/kept'/><Say>Nothing</Say>"
    callee = Callee(after=0.0, recordings=(30.0,))
    transcript, village = await walk({"/": record, "/kept": "<Say>Kept</Say>"}, callee)
    kept = village.to("/kept")[0]
    assert kept["RecordingDuration"] == "10"
    assert kept["RecordingSid"].startswith("RE")
    assert kept["RecordingUrl"].endswith(f"/Recordings/{kept['RecordingSid']}")
    assert said(transcript) == ["Kept"]


async def test_a_recording_of_silence_falls_through() -> None:
    transcript, village = await walk({"/": "<Record/><Say>Nothing heard</Say>"})
    assert len(village.webhooks) == 1
    assert said(transcript) == ["Nothing heard"]


async def test_a_callee_who_hangs_up_while_recording_still_leaves_the_recording() -> None:
    callee = Callee(after=0.0, recordings=(4.0,), hangs_up_at=1)
    record = "<Record action='/kept'/>"
    async with talking({"/": record, "/kept": "<Say>never heard</Say>"}, callee) as (village, carrier):
        transcript = await ring(carrier, f"{village.url}/", StatusCallback=f"{village.url}/status")
    kept = village.to("/kept")[0]
    assert (kept["Digits"], kept["CallStatus"]) == ("hangup", "completed")
    assert said(transcript) == []
    assert transcript.events("hangup")[0]["by"] == "callee"
    assert village.to("/status")[0]["CallDuration"] == "4"


async def test_a_callee_hangs_up_at_a_turn() -> None:
    callee = Callee(after=0.0, digits=("1", "1", "1"), hangs_up_at=2)
    transcript, village = await walk({"/": "<Gather><Say>Again?</Say></Gather>"}, callee)
    assert len(village.webhooks) == 2
    assert said(transcript) == ["Again?", "Again?"]
    assert transcript.events("hangup")[0]["by"] == "callee"


@pytest.mark.parametrize("verb", ["<Gather/>", "<Record/>", "<Redirect>/</Redirect>", "<Pause/>"])
async def test_a_callee_hangs_up_at_the_first_verb_that_waits_or_leads_on_or_at_the_end(verb: str) -> None:
    transcript, village = await walk({"/": f"<Say>Hello</Say>{verb}"}, Callee(after=0.0, hangs_up_at=1))
    assert said(transcript) == ["Hello"]
    assert transcript.events("hangup")[0]["by"] == "callee"
    assert len(village.webhooks) == 1


async def test_a_call_may_begin_with_a_document_that_is_not_asked_for() -> None:
    async with talking({"/next": "<Say>Here</Say>"}) as (village, carrier):
        twiml = f"<Response><Redirect>{village.url}/next</Redirect></Response>"
        assert said(await ring(carrier, f"{village.url}/never", Twiml=twiml)) == ["Here"]
        assert [webhook.path for webhook in village.webhooks] == ["/next"]


async def test_a_redirect_goes_on_elsewhere() -> None:
    documents = {"/": "<Redirect method='GET'>/b/c?d=1</Redirect>", "/b/c": "<Redirect>e</Redirect>"}
    _, village = await walk({**documents, "/b/e": "<Hangup/>"})
    assert [(webhook.method, webhook.path) for webhook in village.webhooks] == [
        ("POST", "/"),
        ("GET", "/b/c"),
        ("POST", "/b/e"),
    ]


async def test_a_redirect_loop_ends_and_is_reported() -> None:
    transcript, village = await walk({"/": "<Redirect>/</Redirect>"})
    assert len(village.webhooks) == 200
    assert "a loop?" in transcript.events("error")[0]["message"]


async def test_a_call_lasts_no_longer_than_its_time_limit() -> None:
    async with talking({"/": "<Say loop='0'>Water is rising</Say>"}) as (village, carrier):
        transcript = await ring(carrier, f"{village.url}/", TimeLimit="60")
    assert transcript.events("hangup") == [{"at": 60.0, "event": "hangup", "by": "time limit"}]


async def test_an_unknown_verb_is_reported_and_skipped() -> None:
    transcript, _ = await walk({"/": "<Shout>Hey</Shout><Dial>+1555</Dial><Say>Hello</Say>"})
    messages = [entry["message"] for entry in transcript.events("warning")]
    assert messages == [
        "<Shout> is passed over: TwiML has no such verb here",
        "<Dial> is passed over: it is not simulated",
    ]
    assert said(transcript) == ["Hello"]


@pytest.mark.parametrize(
    ("body", "status", "headers", "code"),
    [
        ("<Say>Hello</Say>", 500, {}, 11200),
        ("<Say>Hello</Say>", 403, {}, 11200),
        ("not xml", 200, {}, 12100),
        ("", 200, {}, 12100),
        ("{}", 200, {"Content-Type": "application/json"}, 12300),
    ],
)
async def test_a_document_that_cannot_be_used_is_an_application_error(
    body: str, status: int, headers: dict[str, str], code: int
) -> None:
    async with talking({"/": body}) as (village, carrier):
        village.statuses["/"], village.headers["/"] = status, headers
        transcript = await ring(carrier, f"{village.url}/")
        assert next(iter(carrier.calls)).status == "completed"
    assert transcript.events("error")[0]["code"] == code
    assert transcript.events("hangup")[0]["by"] == "application error"


async def test_an_application_that_is_down_is_an_application_error() -> None:
    async with talking({}) as (_, carrier):
        listener, port = bind_unused_port()
        listener.close()
        transcript = await ring(carrier, f"http://127.0.0.1:{port}/")
    assert transcript.events("error")[0]["code"] == 11205


async def test_an_application_error_is_told_in_the_log_once_and_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking({"/": "<Say>Hello</Say>", "/typo": "x"}) as (village, carrier):
        village.statuses["/typo"] = 404
        await ring(carrier, f"{village.url}/")
        assert caplog.messages == []
        wrong = f"{village.url}/typo?to=252662345678"
        for _ in range(3):
            await ring(carrier, wrong.replace("//", "//user:secret@"))
        shown = wrong.partition("?")[0]
        assert caplog.messages == [
            f"a simulated phone heard an error in place of its call flow: 11200: {shown} answered 404"
        ]
        await ring(carrier, f"{village.url}/")
        await until(lambda: len(caplog.messages) == 2)
        assert caplog.messages[1].startswith("simulated phones hear their call flows again, after ")
        caplog.clear()
        carrier.application_stops()
        await ring(carrier, wrong)
        assert caplog.messages == []


async def test_the_fallback_is_asked_with_what_went_wrong() -> None:
    async with talking({"/": "nonsense", "/fallback": "<Say>Sorry</Say>"}) as (village, carrier):
        transcript = await ring(carrier, f"{village.url}/", FallbackUrl=f"{village.url}/fallback")
        asked = village.to("/fallback")[0]
        assert (asked["ErrorCode"], asked["ErrorUrl"]) == ("12100", f"{village.url}/")
    assert said(transcript) == ["Sorry"]


async def test_a_fallback_that_fails_too_is_asked_once() -> None:
    async with talking({"/": "nonsense", "/fallback": "nonsense"}) as (village, carrier):
        transcript = await ring(carrier, f"{village.url}/", FallbackUrl=f"{village.url}/fallback")
        assert len(village.to("/fallback")) == 1
    assert transcript.events("hangup")[0]["by"] == "application error"


async def test_an_http_redirect_is_followed_but_never_off_the_machine() -> None:
    async with talking({"/": "", "/there": "<Say>Here</Say>"}) as (village, carrier):
        village.statuses["/"], village.headers["/"] = 302, {"Location": "/there"}
        assert said(await ring(carrier, f"{village.url}/")) == ["Here"]
        village.headers["/"] = {"Location": "http://198.51.100.1/there"}
        transcript = await ring(carrier, f"{village.url}/")
    assert "http://198.51.100.1/there is not on this machine" in transcript.events("error")[0]["message"]


async def test_localhost_is_this_machine() -> None:
    async with talking({"/": "<Say>Here</Say>"}) as (village, carrier):
        village.url = village.url.replace("127.0.0.1", "localhost")
        assert said(await ring(carrier, f"{village.url}/")) == ["Here"]
    assert village.webhooks[0].signed


class Bare(asyncio.Protocol):
    """A server's connection that gives the same bytes to every request, which has to come in one piece."""

    def __init__(self, application: BareApplication) -> None:
        self._application = application
        self._number = len(application.counts)
        application.counts.append(0)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._application.connections.append(transport)

    def data_received(self, data: bytes) -> None:
        assert data.startswith(b"POST / HTTP/1.1\r\n")
        self._application.counts[self._number] += 1
        self._transport.write(self._application.answer)
        if self._application.hangs_up:
            self._transport.close()


class BareApplication(NamedTuple):
    """Such a server: how many requests each connection has had."""

    url: str
    answer: bytes
    hangs_up: bool
    counts: list[int]
    connections: list[asyncio.Transport]


@asynccontextmanager
async def bare(*headers: str, body: bytes, hangs_up: bool = False) -> AsyncIterator[BareApplication]:
    """Such a server, whose answer is a document with these headers."""
    listener, port = bind_unused_port()
    head = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/xml", *headers, "", ""])
    application = BareApplication(f"http://127.0.0.1:{port}/", head.encode() + body, hangs_up, [], [])
    server = await asyncio.get_running_loop().create_server(lambda: Bare(application), sock=listener, backlog=1000)
    try:
        yield application
    finally:
        server.close()
        for connection in application.connections:
            connection.close()


HELLO = b"<Response><Say>Hello</Say></Response>"


async def heard_from(application: BareApplication, calls: int = 1) -> Transcript:
    """What happens in a call to that server, the last of so many; each is followed by a status callback."""
    async with talking({}) as (_, carrier):
        for _ in range(calls):
            transcript = await ring(carrier, application.url, StatusCallback=application.url)
    return transcript


async def test_a_connection_to_the_application_is_kept_and_used_again() -> None:
    async with bare(f"Content-Length: {len(HELLO)}", body=HELLO) as application:
        assert said(await heard_from(application, calls=3)) == ["Hello"]
    assert application.counts == [6]


@pytest.mark.parametrize("header", ["Connection: close", "X-Said: nothing"])
async def test_a_connection_that_the_application_closes_is_not_used_again(header: str) -> None:
    async with (
        bare(f"Content-Length: {len(HELLO)}", header, body=HELLO, hangs_up=True) as application,
        talking({}) as (_, carrier),
    ):
        calls = [place(carrier, Url=application.url, StatusCallback=application.url) for _ in range(100)]
        await until(lambda: all(call.ended and call.task is None for call in calls))
        transcripts = [carrier.transcript(call.sid) for call in calls]
    assert [said(transcript) for transcript in transcripts if transcript] == [["Hello"]] * 100
    assert application.counts == [1] * 200


async def test_an_answer_may_be_compressed() -> None:
    body = gzip.compress(HELLO)
    async with bare("Content-Encoding: gzip", f"Content-Length: {len(body)}", body=body) as application:
        assert said(await heard_from(application)) == ["Hello"]


async def test_an_answer_may_come_in_chunks() -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HELLO), HELLO)
    async with bare("Transfer-Encoding: chunked", body=body) as application:
        assert said(await heard_from(application)) == ["Hello"]


async def test_an_answer_that_is_too_large_is_an_application_error() -> None:
    body = HELLO.ljust(MAX_ANSWER + 1)
    async with bare(f"Content-Length: {len(body)}", body=body) as application:
        (error,) = (await heard_from(application)).events("error")
    assert (error["code"], f"more than {MAX_ANSWER} bytes" in error["message"]) == (11205, True)


async def test_an_application_is_given_so_many_seconds() -> None:
    line, call = WebhookClient(), Call(SID, TOKEN, NUMBER, "1234", CallOptions(), 1)
    async with bare("Content-Length: 1", body=b"") as application:
        try:
            with pytest.raises(ApplicationUnreachable, match=r"no answer in 0\.05 seconds"):
                await line.send(call, application.url, "POST", call.parameters(), seconds=0.05)
        finally:
            await line.close()
    assert application.counts == [1]


async def test_a_slow_application_sees_everybody_who_waits_for_it() -> None:
    async with bare("Content-Length: 1", body=b"") as application, talking({}) as (_, carrier):
        for _ in range(200):
            place(carrier, Url=application.url)
        await until(lambda: len(application.counts) == 200, seconds=20)


async def test_text_is_said_and_audio_is_played() -> None:
    async with talking({"/text": "Water is rising", "/audio": "RIFF"}) as (village, carrier):
        village.headers |= {"/text": {"Content-Type": "text/plain"}, "/audio": {"Content-Type": "audio/wav"}}
        assert said(await ring(carrier, f"{village.url}/text")) == ["Water is rising"]
        assert len((await ring(carrier, f"{village.url}/audio")).events("play")) == 1


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8080/", True),
        ("http://127.9.9.9/", True),
        ("http://localhost/", True),
        ("http://[::1]:80/", True),
        ("http://example.org/", False),
        ("http://127.0.0.1.example.org/", False),
        ("http://127.0.0.1@example.org/", False),
        ("http://10.0.0.1/", False),
        ("http://0.0.0.0/", False),
        ("http://[/", False),
        ("", False),
    ],
)
async def test_only_this_machine_is_local(url: str, here: bool) -> None:
    assert is_local(url) is here


async def test_an_inbound_call_rings_first_and_is_then_in_progress() -> None:
    gather = "<Gather numDigits='1' action='/next'/>"
    async with talking({"/": gather, "/next": "<Say>Thanks</Say>"}) as (village, carrier):
        transcript = await carrier.ring_in(NUMBER, "345", f"{village.url}/", presses("2"))
        statuses = [webhook.parameters["CallStatus"] for webhook in village.webhooks]
        assert statuses == ["ringing", "in-progress"]
        first = village.webhooks[0]
        assert (first.parameters["Direction"], first.parameters["From"], first.signed) == (
            "inbound",
            NUMBER,
            True,
        )
        assert next(iter(carrier.calls)).status == "completed"
    assert said(transcript) == ["Thanks"]


async def test_an_inbound_call_can_be_rejected() -> None:
    async with talking({"/": "<Reject reason='busy'/>"}) as (village, carrier):
        await carrier.ring_in(NUMBER, "345", f"{village.url}/", status_callback=f"{village.url}/status")
        assert next(iter(carrier.calls)).status == "busy"
        assert village.to("/status")[0]["CallStatus"] == "busy"


async def test_a_call_that_is_answered_can_no_longer_be_rejected() -> None:
    async with talking({"/": "<Reject reason='busy'/>"}) as (village, carrier):
        transcript = await ring(carrier, f"{village.url}/")
        assert next(iter(carrier.calls)).status == "completed"
    assert "too late" in transcript.events("warning")[0]["message"]


async def test_only_the_end_is_told_unless_more_is_asked_for() -> None:
    async with talking({"/": "<Pause length='70'/>"}) as (village, carrier):
        await ring(carrier, f"{village.url}/", StatusCallback=f"{village.url}/status")
        (told,) = village.to("/status")
        assert (told["CallStatus"], told["SequenceNumber"]) == ("completed", "0")
        assert (told["CallDuration"], told["Duration"]) == ("70", "2")
        assert told["CallbackSource"] == "call-progress-events"
        assert all(webhook.signed for webhook in village.webhooks)


ALL_EVENTS = ["initiated", "ringing", "answered", "completed"]


async def statuses_told(callee: Callee | None = None, **options: Any) -> list[tuple[str, str]]:
    """The status and the sequence number of every status callback of a call, in the order they came."""
    async with talking({"/": "<Hangup/>"}, callee, **options) as (village, carrier):
        parameters = {"StatusCallback": f"{village.url}/status", "StatusCallbackEvent": ALL_EVENTS}
        call = place(carrier, Url=f"{village.url}/", **parameters)
        await until(lambda: call.ended and call.task is None)
        return [(told["CallStatus"], told["SequenceNumber"]) for told in village.to("/status")]


async def test_every_event_is_told_in_order_if_asked_for() -> None:
    assert await statuses_told() == [
        ("initiated", "0"),
        ("ringing", "1"),
        ("in-progress", "2"),
        ("completed", "3"),
    ]


async def test_a_call_that_is_not_answered_is_told_of_too() -> None:
    assert (await statuses_told(Callee(outcome="busy", after=0.0)))[-1] == ("busy", "2")
    assert (await statuses_told(Callee(outcome="failed")))[-1] == ("failed", "1")


async def test_callbacks_are_lost_doubled_or_shuffled_by_the_fault_plan() -> None:
    assert await statuses_told(faults=Faults(callback_lost=1.0)) == []
    doubled = await statuses_told(faults=Faults(callback_doubled=1.0))
    assert [sequence for _, sequence in doubled] == ["0", "0", "1", "1", "2", "2", "3", "3"]
    shuffled = await statuses_told(faults=Faults(callback_shuffled=1.0))
    assert [sequence for _, sequence in shuffled] == ["1", "0", "3", "2"]


async def test_a_callback_held_back_is_sent_at_the_end_at_the_latest() -> None:
    async with talking({}, Callee(outcome="busy"), faults=Faults(callback_shuffled=1.0)) as (village, carrier):
        parameters = {"StatusCallback": f"{village.url}/status", "StatusCallbackEvent": "ringing"}
        call = place(carrier, Url=f"{village.url}/", **parameters)
        await until(lambda: call.ended and call.task is None)
        assert [told["CallStatus"] for told in village.to("/status")] == ["ringing"]


async def test_the_first_webhook_comes_before_the_answer_if_the_fault_plan_says_so() -> None:
    async with talking({"/": "<Hangup/>"}, faults=Faults(callback_early=1.0)) as (village, carrier):
        call = place(carrier, Url=f"{village.url}/")
        await carrier.wait_for_first_webhook(call)
        assert len(village.to("/")) == 1


async def test_a_status_callback_elsewhere_is_never_sent() -> None:
    async with talking({"/": "<Hangup/>"}) as (village, carrier):
        transcript = await ring(carrier, f"{village.url}/", StatusCallback="http://example.org/status")
    assert transcript.events("hangup")[0]["by"] == "application"
    assert len(village.webhooks) == 1


async def test_hundreds_of_calls_at_once_are_all_walked() -> None:
    async with talking({"/": "<Gather action='/next'/>", "/next": "<Hangup/>"}, presses("1")) as (
        village,
        carrier,
    ):
        calls = [place(carrier, Url=f"{village.url}/") for _ in range(300)]
        await until(lambda: all(call.ended for call in calls))
        assert len(village.to("/next")) == 300

"""What is known of a call after each way in which a provider can answer, or fail to."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from scfm.providers.call_parameters import CALL_PARAMETERS
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import AccountRefused, CallRejected, NotSent, ProviderError, Unknown

# A second, in which a busy machine connects and sends.
TIMEOUT = 1.0
TO = "+252662345678"
PARAMS = {"from": "345", "url": "https://demo.twilio.com/docs/voice.xml", "method": "GET"}
QUEUED = {"sid": "CA1", "status": "queued", "direction": "outbound-api", "to": TO}
SINCE = datetime(2018, 5, 19, 6, 49, 24, 294000, tzinfo=UTC)

Behaviour = Callable[[RequestHandler], Awaitable[None] | None]


class Carrier(RequestHandler):
    """Answers every request as the test's behaviour says, and keeps what was asked."""

    def initialize(self, behaviour: Behaviour, asked: list[Any]) -> None:
        self.behaviour = behaviour
        self.asked = asked

    async def prepare(self) -> None:
        self.asked.append(self.request)
        done = self.behaviour(self)
        if done is not None:
            await done
        if not self._finished and not self.request.connection.stream.closed():
            self.finish()

    def log_exception(self, *_: Any) -> None:
        """A behaviour that drops the connection is no error of the test."""


def answers(status: int, body: Any = b"", **headers: str) -> Behaviour:
    def behave(handler: RequestHandler) -> None:
        handler.set_status(status, "As told")
        for name, value in headers.items():
            handler.set_header(name.replace("_", "-"), value)
        handler.finish(body if isinstance(body, bytes) else json.dumps(body).encode())

    return behave


def hangs_up(handler: RequestHandler) -> None:
    handler.detach().close()


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other, and the last one for ever."""
    left = list(behaviours)

    def behave(handler: RequestHandler) -> Awaitable[None] | None:
        behaviour = left.pop(0) if len(left) > 1 else left[0]
        return behaviour(handler)

    return behave


@asynccontextmanager
async def provider(**options: Any) -> AsyncIterator[Provider]:
    opened = Provider(**{"timeout": 5, **options})
    try:
        yield opened
    finally:
        await opened.close()


def account(port: int, scheme: str = "http", path: str = "") -> Credentials:
    return Credentials("twilio", "AC1", "secret", f"{scheme}://127.0.0.1:{port}{path}")


@asynccontextmanager
async def carrier(behaviour: Behaviour, path: str = "") -> AsyncIterator[tuple[Credentials, list[Any]]]:
    """An account at a carrier that behaves so, and all the requests it gets."""
    asked: list[Any] = []
    server = HTTPServer(Application([(".*", Carrier, {"behaviour": behaviour, "asked": asked})]))
    socket, port = bind_unused_port()
    server.add_socket(socket)
    try:
        yield account(port, path=path), asked
    finally:
        server.stop()
        await server.close_all_connections()


@asynccontextmanager
async def raw_carrier(
    speak: Callable[[IOStream], Awaitable[None]],
) -> AsyncIterator[tuple[int, list[IOStream]]]:
    """A port where each connection is handled by ``speak``, and the connections that it got."""
    streams: list[IOStream] = []

    class Raw(TCPServer):
        async def handle_stream(self, stream: IOStream, address: Any) -> None:
            streams.append(stream)
            with suppress(StreamClosedError):
                await speak(stream)

    server = Raw()
    socket, port = bind_unused_port()
    server.add_socket(socket)
    try:
        yield port, streams
    finally:
        server.stop()
        for stream in streams:
            stream.close()


async def failure(behaviour: Behaviour, **options: Any) -> ProviderError:
    """How a call fails at a carrier that behaves so. It was asked once, whatever came of it."""
    async with carrier(behaviour) as (credentials, asked), provider(**options) as client:
        with pytest.raises(ProviderError) as caught:
            await client.create_call(credentials, TO, PARAMS)
        assert len(asked) == 1
        return caught.value


async def test_it_is_told_once_that_a_request_leaves_and_before_the_provider_has_it() -> None:
    told: list[int] = []
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:

        async def tell() -> None:
            told.append(len(asked))

        for _ in range(2):  # over a new connection, and over a kept one
            await client.create_call(credentials, TO, PARAMS, tell)
    assert told == [0, 1]


async def test_a_request_that_is_kept_back_when_it_would_leave_was_not_sent() -> None:
    kept = NotSent("the data folder is full")

    async def keep() -> None:
        raise kept

    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        with pytest.raises(NotSent) as caught:
            await client.create_call(credentials, TO, PARAMS, keep)
        assert caught.value is kept
        assert asked == [] or asked[0].body == b""
        await client.create_call(credentials, TO, PARAMS)  # the next is none the worse for it


# What is sent


@pytest.mark.gen_test
async def test_a_call_is_posted_as_a_form_with_the_account_and_its_token() -> None:
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        await client.create_call(credentials, TO, {**PARAMS, "to": "+1", "status_callback": ""})
    (request,) = asked
    assert (request.method, request.path) == ("POST", "/2010-04-01/Accounts/AC1/Calls.json")
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"AC1:secret").decode()
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode(), keep_blank_values=True) == {
        "To": [TO],
        "From": ["345"],
        "Url": ["https://demo.twilio.com/docs/voice.xml"],
        "Method": ["GET"],
        "StatusCallback": [""],
    }


@pytest.mark.gen_test
async def test_json_values_are_sent_as_the_provider_spells_them() -> None:
    params = {
        "from": "ភូមិ",
        "record": True,
        "async_amd": False,
        "timeout": 30,
        "status_callback_event": ["initiated", "answered"],
        "recording_status_callback_event": "completed",
        "twiml": None,
    }
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        await client.create_call(credentials, TO, params)
    assert parse_qs(asked[0].body.decode()) == {
        "To": [TO],
        "From": ["ភូមិ"],
        "Record": ["true"],
        "AsyncAmd": ["false"],
        "Timeout": ["30"],
        "StatusCallbackEvent": ["initiated", "answered"],
        "RecordingStatusCallbackEvent": ["completed"],
    }


class Recorder(AsyncHttpClient):
    """What the library itself would send."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger(__name__), is_async=True)
        self.data: dict[str, Any] = {}

    async def request(self, method: str, url: str, **request: Any) -> Response:
        self.data = request["data"]
        return Response(201, json.dumps(QUEUED))


@pytest.mark.gen_test
async def test_every_parameter_has_the_name_that_the_library_gives_it() -> None:
    params = {name: f"value of {name}".lower() for name in CALL_PARAMETERS if name != "to"}
    recorder = Recorder()
    arguments = {"from_" if name == "from" else name: value for name, value in params.items()}
    await Client("AC1", "secret", http_client=recorder).calls.create_async(to=TO, **arguments)
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        await client.create_call(credentials, TO, params)
    sent = parse_qs(asked[0].body.decode())
    assert {name: values[0] for name, values in sent.items()} == recorder.data


def test_the_parameters_are_the_librarys_with_from_for_from_() -> None:
    assert {"to", "from", "url", "method", "status_callback", "machine_detection"} <= CALL_PARAMETERS
    assert not {"self", "from_", "sid"} & CALL_PARAMETERS


@pytest.mark.gen_test
async def test_a_path_in_the_base_url_is_kept() -> None:
    async with carrier(answers(201, QUEUED), path="/api/") as (credentials, asked), provider() as client:
        await client.create_call(credentials, TO, PARAMS)
        await client.fetch_call(credentials, "CA/1")
    assert [request.path for request in asked] == [
        "/api/2010-04-01/Accounts/AC1/Calls.json",
        "/api/2010-04-01/Accounts/AC1/Calls/CA%2F1.json",
    ]


@pytest.mark.gen_test
async def test_the_environment_of_the_library_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "another")
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        await client.create_call(credentials, TO, PARAMS)
    assert asked[0].headers["Authorization"] == "Basic " + base64.b64encode(b"AC1:secret").decode()


@pytest.mark.gen_test
async def test_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with carrier(answers(201, QUEUED)) as (credentials, _), provider() as client:
        with caplog.at_level(logging.DEBUG):
            await client.create_call(credentials, TO, PARAMS)
    assert not [record for record in caplog.records if record.name.startswith(("twilio", "scfm"))]
    assert "secret" not in repr(credentials)


# What comes back


@pytest.mark.gen_test
async def test_the_answer_is_the_providers_json_without_its_nulls() -> None:
    payload = {**QUEUED, "price": None, "subresource_uris": {"events": None}, "from_formatted": "+34 5 "}
    async with carrier(answers(201, payload)) as (credentials, _), provider() as client:
        expected = {**QUEUED, "subresource_uris": {"events": None}, "from_formatted": "+34 5 "}
        assert await client.create_call(credentials, TO, PARAMS) == expected
        assert await client.fetch_call(credentials, "CA1") == expected


@pytest.mark.gen_test
async def test_a_client_error_is_refused_with_the_providers_words() -> None:
    words = {"code": 21212, "message": "The 'From' number 345 is not valid.", "status": 400}
    error = await failure(answers(400, words))
    assert isinstance(error, CallRejected)
    assert error.message == "Unable to create record: The 'From' number 345 is not valid."


@pytest.mark.gen_test
async def test_how_long_an_answer_takes_is_measured_for_each_provider() -> None:
    async def late(handler: RequestHandler) -> None:
        await asyncio.sleep(0.05)
        handler.set_status(400)

    async with carrier(in_turn(late, hangs_up)) as (credentials, _), provider() as client:
        assert client.request_seconds("twilio") is None
        with pytest.raises(CallRejected):
            await client.create_call(credentials, TO, PARAMS)
        measured = client.request_seconds("twilio")
        assert measured is not None
        assert measured >= 0.05
        with pytest.raises(Unknown):
            await client.create_call(credentials, TO, PARAMS)
        assert (client.request_seconds("twilio"), client.request_seconds("simulator")) == (measured, None)


@pytest.mark.gen_test
async def test_words_of_rfc_9457_are_understood_and_its_status_is_not_believed() -> None:
    words = {"type": "t", "title": "Bad", "status": 400, "code": 1, "detail": "No such account"}
    refused = await failure(answers(401, words))
    assert (type(refused), refused.message) == (AccountRefused, "Unable to create record: No such account")
    assert isinstance(await failure(answers(500, words)), Unknown)


@pytest.mark.gen_test
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_client_error_without_words_is_refused_with_its_status(status: int) -> None:
    error = await failure(answers(status, b"<html>no</html>"))
    kind = AccountRefused if status in (401, 403) else CallRejected
    assert (type(error), error.message) == (kind, f"Unable to create record: HTTP {status}")


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("code", "kind"), [(20003, "AccountRefused"), (21215, "CallRejected"), (None, "AccountRefused")]
)
async def test_a_403_is_about_the_account_unless_its_code_is_about_the_call(code: int | None, kind: str) -> None:
    error = await failure(answers(403, {"code": code, "message": "No", "status": 403}))
    assert type(error).__name__ == kind


@pytest.mark.gen_test
async def test_words_that_no_database_takes_are_made_storable_and_short() -> None:
    error = await failure(answers(400, b'{"message": "\\ud800' + b"x" * 5000 + b'"}'))
    assert error.message.startswith("Unable to create record: ?xxx")
    assert len(error.message) == 1000


@pytest.mark.gen_test
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 302, 303])
async def test_an_answer_that_proves_nothing_leaves_it_unknown(status: int) -> None:
    error = await failure(answers(status))
    assert (type(error), error.message) == (Unknown, f"Unable to create record: HTTP {status}")


@pytest.mark.gen_test
@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_resource_that_moved_is_refused_and_not_followed(status: int) -> None:
    error = await failure(answers(status, Location="https://elsewhere.example/"))
    assert isinstance(error, CallRejected)
    assert "https://elsewhere.example/" in error.message


@pytest.mark.gen_test
@pytest.mark.parametrize("body", [b"", b"garbage", b"\xff\xfe", b"[]", b"{}", b'{"sid": 1}', b"[" * 100000])
async def test_an_acceptance_that_cannot_be_read_is_unknown(body: bytes) -> None:
    assert isinstance(await failure(answers(201, body)), Unknown)


CALL_JSON = b'{"sid": "CA1", "x": "' + b"x" * (1 << 20) + b'"}'


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (CALL_JSON, {}),
        (gzip.compress(CALL_JSON * 100), {"Content_Encoding": "gzip"}),
        (zlib.compress(CALL_JSON * 100), {"Content_Encoding": "deflate"}),
        (gzip.compress(b"{}")[:10], {"Content_Encoding": "br"}),
        (b"no gzip at all", {"Content_Encoding": "gzip"}),
    ],
)
@pytest.mark.gen_test
async def test_an_answer_that_is_too_long_or_packed_is_given_up(body: bytes, headers: dict[str, str]) -> None:
    async with carrier(answers(201, body, **headers)) as (credentials, asked), provider() as opened:
        with pytest.raises(Unknown, match=r"longer than 1048576 bytes|Content-Encoding|is not gzip"):
            await opened.create_call(credentials, "+85512345678", {})
        with pytest.raises(Unknown):
            await opened.fetch_call(credentials, "CA1")
        assert asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.gen_test
async def test_an_answer_without_an_end_is_given_up() -> None:
    async def speak(stream: IOStream) -> None:
        await stream.read_until(b"\r\n\r\n")
        await stream.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.write(b"x" * 65_536)

    async with raw_carrier(speak) as (port, _), provider() as opened:
        with pytest.raises(Unknown, match="longer than"):
            await opened.fetch_call(account(port), "CA1")
        with pytest.raises(Unknown, match="longer than"):
            await opened.list_calls(account(port), "+85512345678", datetime.now(UTC))


@pytest.mark.gen_test
async def test_a_refusal_means_what_its_status_says_however_long_it_is() -> None:
    async with carrier(answers(400, CALL_JSON)) as (credentials, _), provider() as opened:
        with pytest.raises(CallRejected, match="HTTP 400"):
            await opened.create_call(credentials, "+85512345678", {})


@pytest.mark.gen_test
async def test_a_packed_answer_is_read_though_it_was_not_asked_for() -> None:
    body = gzip.compress(b'{"sid": "CA1"}')
    async with carrier(answers(201, body, Content_Encoding="gzip")) as (credentials, _), provider() as opened:
        assert await opened.create_call(credentials, "+85512345678", {}) == {"sid": "CA1"}


@pytest.mark.gen_test
async def test_what_no_database_takes_of_an_answer_is_left_out() -> None:
    deep = b"[" * 500 + b"]" * 500
    body = b'{"sid": "CA1", "big": 18446744073709551615, "deep": ' + deep + b"}"
    async with carrier(answers(201, body)) as (credentials, _), provider() as opened:
        call = await opened.create_call(credentials, "+85512345678", {})
    assert call["big"] == "18446744073709551615"
    levels, deep_value = 0, call["deep"]
    while deep_value:
        levels, deep_value = levels + 1, deep_value[0]
    assert levels == 32


@pytest.mark.gen_test
async def test_too_many_requests_means_not_sent_and_when_to_come_back() -> None:
    error = await failure(answers(429, {"message": "Too Many Requests"}, Retry_After="7"))
    assert isinstance(error, NotSent)
    assert (error.retry_after, error.message) == (7, "Unable to create record: Too Many Requests")


@pytest.mark.gen_test
async def test_a_date_to_come_back_is_turned_into_seconds() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    error = await failure(answers(429, Retry_After=soon))
    assert isinstance(error, NotSent)
    assert error.retry_after is not None
    assert 50 < error.retry_after <= 60


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("9" * 400, 3600), ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("soon", None), ("-1", None), ("", None)],
)
async def test_a_senseless_time_to_come_back_does_no_harm(header: str, seconds: float | None) -> None:
    error = await failure(answers(429, Retry_After=header))
    assert isinstance(error, NotSent)
    assert error.retry_after == seconds


# What breaks on the way


@pytest.mark.gen_test
async def test_a_refused_connection_means_not_sent() -> None:
    socket, port = bind_unused_port()
    socket.close()
    told: list[None] = []
    async with provider() as client:
        with pytest.raises(NotSent, match="Unable to create record: Cannot connect"):
            await client.create_call(account(port), TO, PARAMS, lambda: told.append(None))
    assert told == []


@pytest.mark.gen_test
async def test_a_name_that_is_nobodys_means_not_sent() -> None:
    async with provider() as client:
        with pytest.raises(NotSent):
            await client.create_call(Credentials("somleng", "1", "t", "http://nobody.invalid"), TO, PARAMS)


@pytest.mark.gen_test
async def test_a_handshake_that_fails_means_not_sent() -> None:
    async def speak(stream: IOStream) -> None:
        await stream.read_bytes(1)
        await stream.write(b"HTTP/1.1 400 No TLS here\r\n\r\n")

    async with raw_carrier(speak) as (port, _), provider() as client:
        with pytest.raises(NotSent):
            await client.create_call(account(port, "https"), TO, PARAMS)


@pytest.mark.gen_test
async def test_a_handshake_that_never_ends_means_not_sent() -> None:
    async def speak(stream: IOStream) -> None:
        await stream.read_until_close()

    async with raw_carrier(speak) as (port, _), provider(timeout=0.2) as client:
        with pytest.raises(NotSent):
            await client.create_call(account(port, "https"), TO, PARAMS)


@pytest.mark.gen_test
async def test_a_connection_dropped_before_it_is_read_is_unknown() -> None:
    async def speak(stream: IOStream) -> None:
        stream.close()

    async with raw_carrier(speak) as (port, streams), provider() as client:
        with pytest.raises(Unknown):
            await client.create_call(account(port), TO, PARAMS)
    assert len(streams) == 1


@pytest.mark.gen_test
async def test_a_connection_dropped_after_it_was_read_is_unknown() -> None:
    assert isinstance(await failure(hangs_up), Unknown)


@pytest.mark.gen_test
async def test_a_call_on_a_kept_connection_that_drops_is_not_sent_again() -> None:
    behaviour = in_turn(answers(201, QUEUED), hangs_up)
    async with carrier(behaviour) as (credentials, asked), provider() as client:
        await client.create_call(credentials, TO, PARAMS)
        with pytest.raises(Unknown):
            await client.create_call(credentials, TO, PARAMS)
    assert len(asked) == 2
    assert asked[0].connection.context is asked[1].connection.context


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_half_an_answer_or_none_in_http_is_unknown(answer: bytes) -> None:
    async def speak(stream: IOStream) -> None:
        await stream.read_until(b"\r\n\r\n")
        await stream.write(answer)
        stream.close()

    async with raw_carrier(speak) as (port, streams), provider() as client:
        with pytest.raises(Unknown):
            await client.create_call(account(port), TO, PARAMS)
    assert len(streams) == 1


@pytest.mark.gen_test
async def test_an_answer_that_never_comes_is_unknown() -> None:
    async def wait(handler: RequestHandler) -> None:
        gone = asyncio.Event()
        handler.request.connection.stream.set_close_callback(gone.set)
        await gone.wait()

    assert isinstance(await failure(wait, timeout=TIMEOUT), Unknown)


async def drip(stream: IOStream) -> None:
    """An answer that is always just about to come."""
    await stream.read_until(b"\r\n\r\n")
    await stream.write(b"HTTP/1.1 201 Created\r\n")
    while True:
        await stream.write(b"X-Wait: a little\r\n")
        await asyncio.sleep(0.05)


@pytest.mark.gen_test
async def test_an_answer_that_comes_too_slowly_is_unknown() -> None:
    async with raw_carrier(drip) as (port, _), provider(timeout=TIMEOUT) as client:
        with pytest.raises(Unknown):
            await client.create_call(account(port), TO, PARAMS)


@pytest.mark.gen_test
async def test_a_call_that_waited_in_vain_for_a_free_connection_was_not_sent() -> None:
    async with raw_carrier(drip) as (port, streams), provider(timeout=TIMEOUT, connections=1) as client:
        calls = [client.create_call(account(port), TO, PARAMS) for _ in range(2)]
        first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert (type(first), type(second)) == (Unknown, NotSent)
    assert len(streams) == 1


@pytest.mark.gen_test
async def test_a_provider_that_is_closed_in_between_opens_again_and_keeps_no_connection() -> None:
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        await client.create_call(credentials, TO, PARAMS)
        await client.close()
        await client.create_call(credentials, TO, PARAMS)
        await client.close()
        await client.close()
    assert len(asked) == 2


# What is refused before it is sent


@pytest.mark.gen_test
async def test_an_account_without_a_sid_is_refused_with_the_words_of_the_guide(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        nobody = replace(credentials, account_sid="")
        for _ in range(2):
            with pytest.raises(CallRejected) as caught:
                await client.create_call(nobody, TO, PARAMS)
            assert caught.value.message == (
                "Unable to create record: The requested resource /2010-04-01/Accounts//Calls.json was not found"
            )
        with pytest.raises(CallRejected, match="Unable to fetch record: The requested resource"):
            await client.fetch_call(nobody, "CA1")
    assert not asked
    assert [record.message.partition(" ")[0] for record in caplog.records] == ["TWILIO_ACCOUNT_SID"]


@pytest.mark.gen_test
async def test_an_account_without_a_token_is_refused_and_the_setting_named() -> None:
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        with pytest.raises(CallRejected, match="Unable to create record: SOMLENG_AUTH_TOKEN is not set"):
            await client.create_call(replace(credentials, provider="somleng", auth_token=""), TO, PARAMS)
    assert not asked


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"from_": "345"}, "'from_' is not a parameter of a call"),
        ({"\ud800": "345"}, "is not a parameter of a call"),
        ({"url": {"a": "b"}}, "url cannot be an object"),
        ({"status_callback_event": [{"a": "b"}]}, "status_callback_event cannot be an object"),
        ({"url": "\ud800"}, "a parameter is not text"),
    ],
)
async def test_parameters_that_cannot_be_sent_are_refused(params: dict[str, Any], why: str) -> None:
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider() as client:
        with pytest.raises(CallRejected, match=f"Unable to create record: .*{why}"):
            await client.create_call(credentials, TO, params)
    assert not asked


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "url",
    [
        "",
        "/api",
        "somleng.example/api",
        "ftp://somleng.example",
        "http://",
        "http://.",
        "http://[",
        "http://h:99999",
        "http://\ud800",
        "http://name:password@somleng.example",
        f"http://{'a' * 64}.example",
    ],
)
async def test_a_base_url_that_is_no_url_is_refused_and_the_setting_named(url: str) -> None:
    async with provider() as client:
        with pytest.raises(CallRejected) as caught:
            await client.create_call(Credentials("somleng", "1", "t", url), TO, PARAMS)
    assert caught.value.message == (
        "Unable to create record: SOMLENG_CLIENT_REST_API_BASE_URL is not an http or https URL"
    )


@pytest.mark.gen_test
async def test_a_somleng_account_without_a_base_url_is_not_taken_to_twilio() -> None:
    async with provider() as client:
        with pytest.raises(CallRejected, match="record: SOMLENG_CLIENT_REST_API_BASE_URL is not set"):
            await client.create_call(Credentials("somleng", "1", "t"), TO, PARAMS)


# Fetching and finding


@pytest.mark.gen_test
async def test_a_fetch_that_fails_has_the_words_of_a_fetch() -> None:
    async with (
        carrier(answers(404, {"message": "The requested resource was not found"})) as (credentials, asked),
        provider() as client,
    ):
        with pytest.raises(CallRejected, match=r"^Unable to fetch record: The requested resource was not found$"):
            await client.fetch_call(credentials, "CA1")
    assert asked[0].path == "/2010-04-01/Accounts/AC1/Calls/CA1.json"


def listed(sid: str, date: str | None, to: str = TO) -> dict[str, Any]:
    return {"sid": sid, "to": to, "date_created": date, "start_time": None}


def pages(*contents: dict[str, Any]) -> Behaviour:
    return in_turn(*(answers(200, content) for content in contents))


@pytest.mark.gen_test
async def test_calls_to_a_number_are_those_created_since_however_the_provider_writes_dates() -> None:
    calls = [
        listed("later", "Sat, 19 May 2018 06:50:00 +0000"),
        listed("same second", "Sat, 19 May 2018 06:49:24 +0000"),
        listed("somleng", "2018-05-19T08:49:24.500+02:00"),
        listed("just made", None),
        listed("before", "Sat, 19 May 2018 06:49:23 +0000"),
        listed("long before", "2017-11-24T05:43:19.000Z"),
        listed("another's", "Sat, 19 May 2018 06:50:00 +0000", to="+252662345679"),
    ]
    async with carrier(pages({"calls": calls})) as (credentials, asked), provider() as client:
        found = await client.list_calls(credentials, TO, SINCE)
    assert [call["sid"] for call in found] == ["later", "same second", "somleng", "just made"]
    assert found[0] == {"sid": "later", "to": TO, "date_created": "Sat, 19 May 2018 06:50:00 +0000"}
    assert asked[0].path == "/2010-04-01/Accounts/AC1/Calls.json"
    assert asked[0].arguments == {"To": [TO.encode()], "PageSize": [b"1000"]}


@pytest.mark.gen_test
async def test_the_next_page_is_asked_of_the_same_address_only() -> None:
    first = {
        "calls": [listed("CA1", None)],
        "next_page_uri": "http://thief.example/x?To=%2B252662345678&Page=1",
    }
    last = {"calls": [listed("CA2", None)], "next_page_uri": None}
    async with carrier(pages(first, last), path="/api") as (credentials, asked), provider() as client:
        found = await client.list_calls(credentials, TO, SINCE)
    assert [call["sid"] for call in found] == ["CA1", "CA2"]
    assert asked[1].path == asked[0].path == "/api/2010-04-01/Accounts/AC1/Calls.json"
    assert asked[1].arguments == {"To": [TO.encode()], "Page": [b"1"]}


@pytest.mark.gen_test
async def test_a_list_without_an_end_is_given_up() -> None:
    page = {"calls": [], "next_page_uri": "/2010-04-01/Accounts/AC1/Calls.json?Page=1"}
    async with carrier(pages(page)) as (credentials, asked), provider() as client:
        with pytest.raises(Unknown, match="Unable to fetch record: there are more than 10 pages"):
            await client.list_calls(credentials, TO, SINCE)
    assert len(asked) == 10


@pytest.mark.gen_test
@pytest.mark.parametrize("page", [{}, {"calls": None}, {"calls": [1]}, {"calls": [{"to": TO}]}, []])
async def test_a_list_that_cannot_be_read_is_unknown(page: Any) -> None:
    async with carrier(pages(page)) as (credentials, _), provider() as client:
        with pytest.raises(Unknown):
            await client.list_calls(credentials, TO, SINCE)


# The pool


@pytest.mark.gen_test
async def test_many_calls_share_few_connections() -> None:
    async with carrier(answers(201, QUEUED)) as (credentials, asked), provider(connections=5) as client:
        await asyncio.gather(*(client.create_call(credentials, TO, PARAMS) for _ in range(200)))
    assert len(asked) == 200
    assert len({id(request.connection.context) for request in asked}) == 5

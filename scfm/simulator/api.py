"""The REST API: Twilio's for calls (2010-04-01), under any path prefix, and the simulator's own ledger."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import orjson
from tornado.web import Application, RequestHandler

from .call import Call
from .carrier import Carrier
from .ledger import Received, summary
from .order import Form
from .refusal import Refusal, internal_error, not_found, too_many_requests, unauthorized


class Endpoint(RequestHandler):
    """What every address has in common: JSON out, and Twilio's words when something is wrong."""

    def initialize(self, carrier: Carrier) -> None:
        self.carrier = carrier

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json")

    def compute_etag(self) -> None:
        """Twilio sends none, and hashing every answer costs time."""

    def credentials(self, account_sid: str) -> str:
        """Check HTTP Basic credentials for the account, and give the token. Raises Refusal."""
        username, token = _basic(self.request.headers.get("Authorization", ""))
        self.carrier.authenticate(account_sid, username, token)
        return token

    def answer(self, body: object, status: int = 200) -> None:
        """Send a JSON body."""
        self.set_status(status)
        self.finish(orjson.dumps(body))

    def refuse(self, refusal: Refusal) -> None:
        """Send an error as Twilio does."""
        if refusal.status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="Twilio API"')
        if refusal.status == 429:
            self.set_header("Retry-After", f"{self.carrier.faults.retry_after:g}")
        self.answer(refusal.as_json(), refusal.status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, Refusal):
            self.refuse(error)
        elif status_code == 405:
            self.refuse(Refusal(405, 20004, "Method not allowed"))
        else:
            self.refuse(internal_error())

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, Refusal):
            super().log_exception(typ, value, tb)


class CallList(Endpoint):
    """``/Accounts/{Sid}/Calls.json``"""

    async def post(self, account_sid: str) -> None:
        """Make a call, unless the fault plan has it otherwise."""
        form = Form(self.request.body_arguments)
        received = self.carrier.receive(form)
        try:
            call = self._take(account_sid, form, received)
        except Refusal as refusal:
            received.code = refusal.code
            raise
        finally:
            self.carrier.ledger.request(received)
        if call is None:
            return self._drop()
        created = orjson.dumps(call.as_json())  # as it is now: the answer may be late
        await self.carrier.hear_first_webhook(call)
        return await self._answers.get(received.fault or "", CallList._created)(self, created)

    def _take(self, account_sid: str, form: Form, received: Received) -> Call | None:
        """The call, or None for a connection that breaks before one is made. Raises Refusal."""
        if received.fault == "drop_before":
            return None
        if received.fault == "throttle":
            raise too_many_requests()
        return self.carrier.place(account_sid, self.credentials(account_sid), form, received)

    async def _created(self, body: bytes) -> None:
        self.set_status(201)
        self.finish(body)

    async def _dropped(self, body: bytes) -> None:
        self._drop()

    async def _broken(self, body: bytes) -> None:
        self.refuse(internal_error())

    async def _silent(self, body: bytes) -> None:
        await self.carrier.linger(self.carrier.faults.timeout_seconds)
        self._drop()

    async def _slow(self, body: bytes) -> None:
        await self.carrier.linger(self.carrier.faults.slow_seconds)
        await self._created(body)

    async def _halved(self, body: bytes) -> None:
        await self._created(body[: len(body) // 2])

    _answers: dict[str, Callable[[CallList, bytes], Awaitable[None]]] = {
        "drop_after": _dropped,
        "error_after": _broken,
        "timeout": _silent,
        "slow": _slow,
        "malformed": _halved,
    }

    def _drop(self) -> None:
        """Close the connection without a word."""
        self.detach().close()

    def get(self, account_sid: str) -> None:
        """List the account's calls, newest first, in Twilio's pages."""
        self.credentials(account_sid)
        query = Form(self.request.query_arguments)
        calls = self.carrier.calls.select(account_sid, query)
        self.answer(_page(self.request.path, query, self.request.query_arguments, calls))


class CallInstance(Endpoint):
    """``/Accounts/{Sid}/Calls/{CallSid}.json``"""

    def get(self, account_sid: str, sid: str) -> None:
        """Show the call."""
        self.answer(self._call(account_sid, sid).as_json())

    def post(self, account_sid: str, sid: str) -> None:
        """Hang it up, cancel it, or send it to another document."""
        call = self._call(account_sid, sid)
        self.carrier.update(call, Form(self.request.body_arguments))
        self.answer(call.as_json())

    def _call(self, account_sid: str, sid: str) -> Call:
        self.credentials(account_sid)
        call = self.carrier.calls.find(account_sid, sid)
        if call is None:
            raise not_found(_from_version(self.request.path))
        return call


class LedgerPage(Endpoint):
    """``/ledger.json``: what was asked, and what became of it."""

    def get(self) -> None:
        """Show every create request, and every call."""
        requests = [received.as_json() for received in self.carrier.ledger.requests]
        self.answer({"requests": requests, "calls": [summary(call) for call in self.carrier.calls]})


class TranscriptPage(Endpoint):
    """``/transcripts/{CallSid}.json``: what happened in a call."""

    def get(self, sid: str) -> None:
        """Show it, if the call was answered and is not too long ago."""
        transcript = self.carrier.transcript(sid)
        if transcript is None:
            raise not_found(self.request.path)
        self.answer({"sid": sid, "transcript": list(transcript)})


class Nowhere(Endpoint):
    """Any other address."""

    def prepare(self) -> None:
        raise not_found(_from_version(self.request.path))


def application(carrier: Carrier) -> Application:
    """The API of a carrier, as a Tornado application that logs no request."""
    shared = {"carrier": carrier}
    account = r"(?:/.*)?/2010-04-01/Accounts/([^/]+)"
    return Application(
        [
            (account + r"/Calls\.json", CallList, shared),
            (account + r"/Calls/([^/]+)\.json", CallInstance, shared),
            (r"/ledger\.json", LedgerPage, shared),
            (r"/transcripts/([^/]+)\.json", TranscriptPage, shared),
        ],
        default_handler_class=Nowhere,
        default_handler_args=shared,
        log_function=lambda handler: None,
    )


def _page(path: str, query: Form, arguments: dict[str, list[bytes]], calls: list[Call]) -> dict[str, Any]:
    """https://www.twilio.com/docs/usage/twilios-response#pagination"""
    size = min(max(_whole(query["PageSize"], 50), 1), 1000)
    page = _whole(query["Page"], 0)
    shown = calls[page * size : (page + 1) * size]
    kept = {name: values[-1] for name, values in arguments.items() if name != "Page"}

    def uri(number: int) -> str:
        return f"{path}?{urlencode({**kept, 'PageSize': size, 'Page': number})}"

    return {
        "calls": [call.as_json() for call in shown],
        "first_page_uri": uri(0),
        "next_page_uri": uri(page + 1) if (page + 1) * size < len(calls) else None,
        "previous_page_uri": uri(page - 1) if page else None,
        "uri": uri(page),
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(len(shown) - 1, 0),
    }


def _whole(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _from_version(path: str) -> str:
    """Twilio names the path from the version on, whatever comes before."""
    before, version, rest = path.partition("/2010-04-01")
    return version + rest if version else before


def _basic(header: str) -> tuple[str, str]:
    """The user name and the password of HTTP Basic credentials. Raises Refusal."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized()
    try:
        username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise unauthorized() from None
    return username, password

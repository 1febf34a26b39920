"""A strict stand-in for the calls API of Twilio and Somleng, on the loopback."""

from __future__ import annotations

import asyncio
import base64
import threading
import uuid
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

# Twilio's own magic number: as a caller it is refused. https://www.twilio.com/docs/iam/test-credentials
INVALID_FROM = "+15005550001"
REFUSAL = f"The 'From' number {INVALID_FROM} is not a valid phone number, shortcode, or alphanumeric sender ID."
REQUIRED = ("To", "From", "Url")
KNOWN = {*REQUIRED, "Method", "StatusCallback", "StatusCallbackMethod", "Timeout", "Record"}
PRINTED_FROM = {"345": "+34 5 ", "1234": "+1 (234) "}


class Provider:
    """One account at a provider, served by a thread of its own.

    ``calls`` holds every call accepted, by its sid, in the order they came; ``requests`` every form posted, refused
    ones too. ``status`` is the one that a fetch answers, unless ``statuses`` has one for that call.
    """

    def __init__(self, account_sid: str, auth_token: str, call_sid_prefix: str = "") -> None:
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.call_sid_prefix = call_sid_prefix
        self.calls: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, str]] = []
        self.status = "canceled"
        self.statuses: dict[str, str] = {}
        self.port = 0
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def rung(self, msisdn: str) -> int:
        """How many calls to this number were accepted."""
        return sum(call["to"] == msisdn for call in self.calls.values())

    def forget(self, sid: str) -> None:
        """Answer 404 for this call from now on."""
        del self.calls[sid]

    def accept(self, form: dict[str, str]) -> dict[str, Any]:
        """A new call, queued, in the words that the guide prints, with the nulls that a provider also sends."""
        sid = self.call_sid_prefix + (uuid.uuid4().hex if self.call_sid_prefix else str(uuid.uuid4()))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+00:00")
        self.calls[sid] = {
            "account_sid": self.account_sid,
            "annotation": None,
            "answered_by": None,
            "api_version": "2010-04-01",
            "date_created": now,
            "date_updated": now,
            "direction": "outbound-api",
            "from": form["From"],
            "from_formatted": PRINTED_FROM.get(form["From"], form["From"]),
            "parent_call_sid": None,
            "price": 0,
            "sid": sid,
            "status": "queued",
            "subresource_uris": {},
            "to": form["To"],
            "to_formatted": _spaced(form["To"]),
            "uri": f"/api/2010-04-01/Accounts/{self.account_sid}/Calls/{sid}",
        }
        return self.calls[sid]

    def fetch(self, sid: str) -> dict[str, Any]:
        """The call with the status it has by now. KeyError for a call that is not known."""
        return {**self.calls[sid], "status": self.statuses.get(sid, self.status)}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(120), "the provider did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None and self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        version = r"(?:/api)?/2010-04-01/Accounts/([^/]+)"
        routes = [(version + r"/Calls\.json", _Calls), (version + r"/Calls/([^/]+)\.json", _Call)]
        server = HTTPServer(Application(routes, default_handler_class=_Nothing, log_function=_silent, provider=self))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        server.stop()
        await server.close_all_connections()


class _Handler(RequestHandler):
    @property
    def provider(self) -> Provider:
        found = self.settings["provider"]
        assert isinstance(found, Provider)
        return found

    def admitted(self, account_sid: str) -> bool:
        pair = f"{self.provider.account_sid}:{self.provider.auth_token}"
        if self.request.headers.get("Authorization") != "Basic " + base64.b64encode(pair.encode()).decode():
            self.refuse(401, 20003, "Authenticate")
        elif account_sid != self.provider.account_sid:
            self.refuse(404, 20404, f"The requested resource {self.request.path} was not found")
        return not self._finished

    def refuse(self, status: int, code: int, message: str) -> None:
        self.set_status(status)
        self.finish({"code": code, "message": message, "more_info": "", "status": status})


class _Calls(_Handler):
    def post(self, account_sid: str) -> None:
        if not self.admitted(account_sid):
            return
        given = self.request.body_arguments
        form = {name: values[0].decode() for name, values in given.items()}
        self.provider.requests.append(form)
        if wrong := self.wrong(form, max((len(values) for values in given.values()), default=0)):
            self.refuse(400, 21201, wrong)
        else:
            self.set_status(201)
            self.finish(self.provider.accept(form))

    @staticmethod
    def wrong(form: dict[str, str], times: int) -> str | None:
        if form.get("From") == INVALID_FROM:
            return REFUSAL
        if missing := [name for name in REQUIRED if not form.get(name)]:
            return f"Missing parameters: {missing}"
        if unknown := sorted(set(form) - KNOWN):
            return f"Unknown parameters: {unknown}"
        return "A parameter is given twice" if times > 1 else None

    def get(self, account_sid: str) -> None:
        if self.admitted(account_sid):
            to = self.get_query_argument("To", None)
            found = [call for call in self.provider.calls.values() if to in (None, call["to"])]
            self.finish({"calls": found, "page": 0, "page_size": 50, "next_page_uri": None})


class _Call(_Handler):
    def get(self, account_sid: str, sid: str) -> None:
        if not self.admitted(account_sid):
            return
        try:
            self.finish(self.provider.fetch(sid))
        except KeyError:
            self.refuse(404, 20404, f"The requested resource {self.request.path} was not found")


class _Nothing(_Handler):
    def prepare(self) -> None:
        self.refuse(404, 20404, f"The requested resource {self.request.path} was not found")


def _spaced(msisdn: str) -> str:
    return f"{msisdn[:4]} {msisdn[4:6]} {msisdn[6:9]} {msisdn[9:]}"


def _silent(handler: RequestHandler) -> None:
    """Log nothing."""

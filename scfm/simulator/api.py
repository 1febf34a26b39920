"""The REST API: Twilio's for calls (2010-04-01), under any path prefix, and the simulator's own ledger."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlencode

import orjson
from aiohttp import web
from tornado.escape import parse_qs_bytes
from tornado.httputil import HTTPInputError, parse_body_arguments

from scfm.simulator.api_error import ApiError, internal_error, not_allowed, not_found, too_many_requests, unauthorized
from scfm.simulator.call import Call
from scfm.simulator.call_options import Form
from scfm.simulator.carrier import Carrier
from scfm.simulator.ledger import CreateRequest, call_summary
from scfm.simulator.recordings import recording

log = logging.getLogger(__name__)

ACCOUNT = r"(?:/.*)?/2010-04-01/Accounts/([^/]+)"
MAX_FORM = 1 << 20

Arguments = dict[str, list[bytes]]
Endpoint = Callable[..., Awaitable[web.Response]]


def application(carrier: Carrier) -> web.Application:
    """The API of a carrier."""
    api = web.Application(client_max_size=MAX_FORM)
    api.router.add_route("*", "/{path:.*}", TwilioApi(carrier).handle)
    api.on_response_prepare.append(_nameless)
    return api


async def _nameless(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)


class TwilioApi:
    """What is asked of a carrier: JSON out, and Twilio's words when something is wrong."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._deleted_recordings: set[str] = set()
        self._addresses: dict[re.Pattern[str], dict[str, Endpoint]] = {
            re.compile(ACCOUNT + r"/Calls\.json"): {"GET": self._list, "POST": self._create},
            re.compile(ACCOUNT + r"/Calls/([^/]+)\.json"): {"GET": self._show, "POST": self._update},
            re.compile(ACCOUNT + r"/Recordings/(RE[0-9a-f]{32})(?:\.wav)?"): {"GET": self._show_recording},
            re.compile(ACCOUNT + r"/Recordings/(RE[0-9a-f]{32})\.json"): {"DELETE": self._delete_recording},
            re.compile(r"/ledger\.json"): {"GET": self._show_ledger},
            re.compile(r"/transcripts/([^/]+)\.json"): {"GET": self._show_transcript},
        }

    async def handle(self, request: web.Request) -> web.Response:
        """The answer to a request, whatever it is; HTTPRequestEntityTooLarge if it is too large."""
        try:
            endpoint, names = self._find(request)
            return await endpoint(request, *names)
        except ApiError as error:
            return self._error_answer(error)
        except HTTPInputError as error:
            return web.Response(status=400, text=str(error))
        except web.HTTPException:
            raise
        except Exception:
            log.exception("the simulator could not answer %s %s", request.method, request.raw_path)
            return self._error_answer(internal_error())

    def _find(self, request: web.Request) -> tuple[Endpoint, list[str]]:
        """What is at the address, and the names in its path. Raises ApiError."""
        path = _path(request)
        for address, endpoints in self._addresses.items():
            if found := address.fullmatch(path):
                if request.method not in endpoints:
                    raise not_allowed()
                return endpoints[request.method], [unquote(name) for name in found.groups()]
        raise not_found(_from_version(path))

    # /Accounts/{Sid}/Calls.json

    async def _create(self, request: web.Request, account_sid: str) -> web.Response:
        """Make a call, unless the fault plan has it otherwise."""
        form = await _form(request)
        create_request = self._carrier.count_request(form)
        try:
            call = self._take(request, account_sid, form, create_request)
        except ApiError as error:
            create_request.code = error.code
            raise
        finally:
            self._carrier.ledger.add_request(create_request)
        if call is None:
            return _dropped(request)
        created = orjson.dumps(call.as_json())  # as it is now: the answer may be late
        await self._carrier.wait_for_first_webhook(call)
        return await self._created(request, create_request.fault, created)

    def _take(self, request: web.Request, account_sid: str, form: Form, create_request: CreateRequest) -> Call | None:
        """The call, or None for a connection that breaks before one is made. Raises ApiError."""
        if create_request.fault == "drop_before":
            return None
        if create_request.fault == "throttle":
            raise too_many_requests()
        return self._carrier.place(account_sid, self._token(request, account_sid), form, create_request)

    async def _created(self, request: web.Request, fault: str | None, body: bytes) -> web.Response:
        """The answer for a call that was made, as the fault has it. Raises ApiError."""
        faults = self._carrier.faults
        if fault == "drop_after":
            return _dropped(request)
        if fault == "error_after":
            raise internal_error()
        if fault == "timeout":
            await self._carrier.wait_while_open(faults.timeout_seconds)
            return _dropped(request)
        if fault == "slow":
            await self._carrier.wait_while_open(faults.slow_seconds)
        return _json(body[: len(body) // 2] if fault == "malformed" else body, 201)

    async def _list(self, request: web.Request, account_sid: str) -> web.Response:
        """List the account's calls, newest first, in Twilio's pages."""
        self._token(request, account_sid)
        arguments = parse_qs_bytes(request.raw_path.partition("?")[2], keep_blank_values=True)
        query = Form(arguments)
        calls = self._carrier.calls.select(account_sid, query)
        return _json(orjson.dumps(_page(_path(request), query, arguments, calls)))

    # /Accounts/{Sid}/Calls/{CallSid}.json

    async def _show(self, request: web.Request, account_sid: str, sid: str) -> web.Response:
        """Show the call."""
        return _json(orjson.dumps(self._call(request, account_sid, sid).as_json()))

    async def _update(self, request: web.Request, account_sid: str, sid: str) -> web.Response:
        """Hang it up, cancel it, or send it to another document."""
        form = await _form(request)
        call = self._call(request, account_sid, sid)
        self._carrier.update(call, form)
        return _json(orjson.dumps(call.as_json()))

    def _call(self, request: web.Request, account_sid: str, sid: str) -> Call:
        self._token(request, account_sid)
        call = self._carrier.calls.find(account_sid, sid)
        if call is None:
            raise not_found(_from_version(_path(request)))
        return call

    # /Accounts/{Sid}/Recordings/{RecordingSid}.wav

    async def _show_recording(self, request: web.Request, account_sid: str, sid: str) -> web.Response:
        """A recording, which is a tone."""
        self._token(request, account_sid)
        self._check_recording(request, sid)
        return web.Response(body=recording(sid), headers={"Content-Type": "audio/x-wav"})

    async def _delete_recording(self, request: web.Request, account_sid: str, sid: str) -> web.Response:
        """From now on there is none; a simulator that is started again does not know of it."""
        self._token(request, account_sid)
        self._check_recording(request, sid)
        self._deleted_recordings.add(sid)
        return web.Response(status=204)

    def _check_recording(self, request: web.Request, sid: str) -> None:
        if sid in self._deleted_recordings:
            raise not_found(_from_version(_path(request)))

    # The simulator's own

    async def _show_ledger(self, request: web.Request) -> web.Response:
        """``/ledger.json``: every create request, and every call."""
        requests = [create_request.as_json() for create_request in self._carrier.ledger.requests]
        calls = [call_summary(call) for call in self._carrier.calls]
        return _json(orjson.dumps({"requests": requests, "calls": calls}))

    async def _show_transcript(self, request: web.Request, sid: str) -> web.Response:
        """``/transcripts/{CallSid}.json``: what happened, if the call was answered and is not too long ago."""
        transcript = self._carrier.transcript(sid)
        if transcript is None:
            raise not_found(_path(request))
        return _json(orjson.dumps({"sid": sid, "transcript": list(transcript)}))

    def _token(self, request: web.Request, account_sid: str) -> str:
        """Check HTTP Basic credentials for the account, and give the token. Raises ApiError."""
        username, token = _basic(request.headers.get("Authorization", ""))
        self._carrier.authenticate(account_sid, username, token)
        return token

    def _error_answer(self, error: ApiError) -> web.Response:
        """An error as Twilio has it."""
        answer = _json(orjson.dumps(error.as_json()), error.status)
        if error.status == 401:
            answer.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        if error.status == 429:
            answer.headers["Retry-After"] = f"{self._carrier.faults.retry_after:g}"
        return answer


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json"})


def _dropped(request: web.Request) -> web.Response:
    """Close the connection without a word: the answer goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _path(request: web.Request) -> str:
    return request.raw_path.partition("?")[0]


async def _form(request: web.Request) -> Form:
    """The parameters in the body. Raises HTTPInputError, HTTPRequestEntityTooLarge."""
    arguments: Arguments = {}
    parse_body_arguments(request.headers.get("Content-Type", ""), await request.read(), arguments, {})
    return Form(arguments)


def _page(path: str, query: Form, arguments: Arguments, calls: list[Call]) -> dict[str, Any]:
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
    """The user name and the password of HTTP Basic credentials. Raises ApiError."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise unauthorized()
    try:
        username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise unauthorized() from None
    return username, password

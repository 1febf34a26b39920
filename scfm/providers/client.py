"""The REST API of the provider, Twilio or Somleng: make a call, fetch a call, list the calls to a number.

A call sent twice rings twice. So the class of a failure says what is known of the request: ``CallRejected``,
``NotSent`` or ``Unknown``. Nothing here sends anything again by itself.
"""

from __future__ import annotations

import base64
import inspect
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

import aiohttp
import orjson
from aiohttp.abc import AbstractStreamWriter
from twilio.base.version import Version  # type: ignore[import-untyped]
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]
from twilio.rest.api.v2010.account.call import CallList  # type: ignore[import-untyped]

from scfm import clock
from scfm.errors import ScfmError

log = logging.getLogger(__name__)

_FIELDS = {
    name.rstrip("_"): "".join(word.capitalize() for word in name.split("_"))
    for name in inspect.signature(CallList.create).parameters
    if name != "self"
}
"""The name of each parameter of a call on the wire: ``StatusCallbackEvent`` for ``status_callback_event``."""

CALL_PARAMETERS: frozenset[str] = frozenset(_FIELDS)
"""What ``remote_request_params`` may name: those of the library's ``calls.create``, ``from_`` as ``from``."""

Call = dict[str, Any]
"""The provider's JSON of a call, its names in snake_case, without its nulls; ``sid`` is always there."""

CREATE = "Unable to create record"
FETCH = "Unable to fetch record"

# A connection idle for this many seconds is not used again: common servers hang up after five, and a POST
# that meets a hang-up may have rung.
KEEP_ALIVE = 4
# The library would read TWILIO_* by itself, and would read the real environment in place of an empty one.
NO_ENVIRONMENT = {"TWILIO_EDGE": ""}
# RFC 9110, 15.4: the resource is elsewhere, and nothing was done here. Of other redirects that is not sure.
MOVED = frozenset({301, 307, 308})
# The account is refused, unless Twilio's code of the error (https://www.twilio.com/docs/api/errors) is of those that
# are about a call: a number, or a country that the account may not call.
ACCOUNT_REFUSALS, CALL_ERRORS = frozenset({401, 403}), range(21000, 22000)
MAX_RETRY_AFTER = 3600.0
MAX_MESSAGE = 1000
PAGE_SIZE = 1000  # the most that Twilio gives
# Bytes of JSON, after any decompression: Twilio's call has two thousand, and a page a thousand of these.
MAX_ANSWER, MAX_PAGE = 1 << 20, 4 << 20
# What is stored of an answer: no deeper than MongoDB takes, and no whole number of more than 64 bits.
MAX_LEVELS = 32
MAX_INTEGER = 2**63 - 1
PAGES = 10
CACHED_CLIENTS = 256
CACHED_FORMS, MAX_CACHED_FORM = 256, 4096


@dataclass(frozen=True)
class Credentials:
    """Whose account, at which provider.

    ``base_url`` may have a path, ``https://somleng.example/api``. None is https://api.twilio.com, for Twilio only.
    """

    provider: str  # twilio, somleng or simulator
    account_sid: str
    auth_token: str = field(repr=False)
    base_url: str | None = None


class ProviderError(ScfmError):
    """The provider did not say yes. ``message`` is for the client: ``Unable to create record: …``."""

    def __init__(self, message: str) -> None:
        # A JSON string may hold half a character (a lone surrogate), which no database takes.
        self.message = message[:MAX_MESSAGE].encode("utf-8", "replace").decode()
        super().__init__(self.message)


class CallRejected(ProviderError):
    """The provider said no (4xx), or would have: asking the same again is of no use. Nothing rang."""


class AccountRefused(CallRejected):
    """The provider refuses the account, whatever is asked (401, 403); or a setting of it is ``missing``.

    What the call is, has nothing to do with it.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class NotSent(ProviderError):
    """The request provably never left, or was turned away at the door (429): it may be sent again.

    ``retry_after``: the seconds that the provider asked for, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unknown(ProviderError):
    """It may have rung: no answer, one that cannot be read, or a failure of the provider's own (5xx)."""


Leaving = Callable[[], Awaitable[None]]
"""Done just before a request is written; the request leaves as soon as it returns. May raise NotSent."""


async def _nothing() -> None:
    """What most requests have to do before they leave."""


class _Form(aiohttp.BytesPayload):
    """An encoded form that awaits ``leaving`` just before it is written: without its body no request does anything.

    ``kept`` is the error with which ``leaving`` kept it from being written.
    """

    def __init__(self, content: bytes, leaving: Leaving) -> None:
        super().__init__(content, content_type="application/x-www-form-urlencoded")
        self.kept: NotSent | None = None
        self._leaving = leaving

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        try:
            await self._leaving()
        except NotSent as error:
            self.kept = error
            raise
        await super().write_with_length(writer, content_length)


class Provider:
    """A client of every provider account of this process, for the event loop it is first used in.

    ``timeout``: the seconds allowed for a connection (waiting for a free one included), then for the answer.
    ``connections``: the most that are open at once, over all accounts.
    """

    def __init__(self, *, timeout: float = 15, connections: int = 100) -> None:
        self._wire = _Wire(timeout, connections)
        self._api = lru_cache(maxsize=CACHED_CLIENTS)(self._open)
        self._settings_missed: set[str] = set()

    async def create_call(
        self,
        credentials: Credentials,
        to: str,
        params: Mapping[str, Any],
        leaving: Leaving = _nothing,
    ) -> Call:
        """Ring ``to`` (a msisdn) with ``params`` (see CALL_PARAMETERS; its own ``to`` is ignored).

        ``leaving`` is awaited when there is a connection and the request is about to be written to it; it may raise
        NotSent. Gives the provider's JSON, nulls dropped; it has a ``sid``. Raises CallRejected, NotSent or Unknown.
        """
        try:
            form = _Form(_form(params, to), leaving)
        except ValueError as error:
            raise CallRejected(f"{CREATE}: {error}") from error
        try:
            return _call(await self._ask(credentials, "POST", "Calls.json", CREATE, data=form), CREATE)
        except Unknown:
            if form.kept is not None:
                raise form.kept from None
            raise

    async def fetch_call(self, credentials: Credentials, sid: str) -> Call:
        """The call ``sid`` as it is now: JSON as of ``create_call``. Raises what ``create_call`` raises."""
        resource = f"Calls/{quote(sid, safe='')}.json"
        return _call(await self._ask(credentials, "GET", resource, FETCH), FETCH)

    async def list_calls(self, credentials: Credentials, to: str, since: datetime) -> list[Call]:
        """The calls to ``to`` (a msisdn) created at or after ``since`` (aware) by the provider's clock.

        Those created earlier in the same second are among them, as providers tell time in whole seconds; so are
        those without a date, which are new. Raises what ``create_call`` raises; Unknown if it has no end.
        """
        query: dict[str, Any] = {"To": to, "PageSize": PAGE_SIZE}
        found: list[Call] = []
        for _ in range(PAGES):
            page = await self._ask(credentials, "GET", "Calls.json", FETCH, params=query)
            found += [call for call in _calls(page) if _is_to(call, to) and _is_since(call, since)]
            query = _next_query(page)
            if not query:
                return found
        raise Unknown(f"{FETCH}: there are more than {PAGES} pages of calls to {to}")

    async def close(self) -> None:
        """Close every connection. What is in flight fails as Unknown."""
        await self._wire.close()

    def _open(self, credentials: Credentials) -> Any:
        client = Client(
            credentials.account_sid,
            credentials.auth_token,
            http_client=self._wire,
            environment=NO_ENVIRONMENT,
        )
        if credentials.base_url is not None:
            client.api.base_url = credentials.base_url
        return client.api.v2010

    async def _ask(
        self, credentials: Credentials, method: str, resource: str, failure: str, **request: Any
    ) -> dict[str, Any]:
        """The JSON object that the account's ``resource`` answers with. ``failure`` begins every message."""
        self._require(credentials, resource, failure)
        path = f"/Accounts/{quote(credentials.account_sid, safe='')}/{resource}"
        with _outcome(failure):
            response = await self._api(credentials).request_async(method, path, **request)
        if not 200 <= response.status_code < 300:
            raise _verdict(response, method, path, failure)
        return _object(response.text, failure)

    def _require(self, credentials: Credentials, resource: str, failure: str) -> None:
        setting = credentials.provider.upper()
        if not credentials.account_sid:
            self._warn(f"{setting}_ACCOUNT_SID")
            # The words of the guide: what the provider answers where the sid is left out.
            path = f"/2010-04-01/Accounts//{resource}"
            raise AccountRefused(f"{failure}: The requested resource {path} was not found", missing=True)
        if not credentials.auth_token:
            self._warn(f"{setting}_AUTH_TOKEN")
            raise AccountRefused(f"{failure}: {setting}_AUTH_TOKEN is not set", missing=True)
        if credentials.base_url is None and credentials.provider != "twilio":  # whose token is not Twilio's to see
            raise AccountRefused(f"{failure}: {setting}_CLIENT_REST_API_BASE_URL is not set", missing=True)
        if credentials.base_url is not None and not _is_url(credentials.base_url):
            raise CallRejected(f"{failure}: {setting}_CLIENT_REST_API_BASE_URL is not an http or https URL")

    def _warn(self, setting: str) -> None:
        """Name a missing setting in the log, once: a village has thousands of phones."""
        if setting not in self._settings_missed:
            self._settings_missed.add(setting)
            log.warning("%s is not set, and an account without its own cannot make calls", setting)


class _Wire(AsyncHttpClient):  # type: ignore[misc]
    """The network, as the Twilio library wants it: one pool of kept connections, with time-outs.

    The library's own AsyncTwilioHttpClient has neither a time-out nor a limit, and logs every request.
    """

    def __init__(self, timeout: float, connections: int) -> None:
        super().__init__(log, True, timeout)
        # ``connect`` ends before ``total`` can, so whatever ``total`` cuts off had a connection.
        self._timeout = aiohttp.ClientTimeout(total=2 * timeout, connect=timeout, sock_read=timeout)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        uri: str,
        *,
        params: Mapping[str, Any] | None,
        data: _Form | None,
        headers: Mapping[str, str],
        auth: tuple[str, str],
        **_: Any,
    ) -> Response:
        """The whole answer to one request, sent once. Raises ValueError for a success that is too long to be read."""
        headers = {**headers, "Authorization": _basic(*auth), "Accept-Encoding": "identity"}
        most = MAX_PAGE if params else MAX_ANSWER  # only lists have a query
        asked = self._open().request(
            method,
            uri,
            params=params,
            data=data,
            headers=headers,
            allow_redirects=False,
        )
        async with asked as answer:
            try:
                body = await _read(answer, most)
            except ValueError:
                if 200 <= answer.status < 300:
                    raise
                body = b""  # what a refusal means is told by its status
            return Response(answer.status, body.decode("utf-8", "replace"), answer.headers)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),  # accounts share the session
                timeout=self._timeout,
                auto_decompress=False,  # it would decompress whatever comes: see _read
            )
        return self._session


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, decompressed; raises ValueError if that has more than MOST bytes, or cannot be done.

    What is left unread is not waited for: aiohttp closes the connection.
    """
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > most:
            raise ValueError(f"the answer is longer than {most} bytes")
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return bytes(body)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError(f"the answer has the Content-Encoding {encoding[:20]}, which was not asked for")
    try:
        text = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, most + 1)
    except zlib.error as error:
        raise ValueError(f"the answer is not {encoding}") from error
    if len(text) > most:
        raise ValueError(f"the answer is longer than {most} bytes")
    return text


@contextmanager
def _outcome(failure: str) -> Iterator[None]:
    """Tells of a request without an answer whether it can have left.

    aiohttp raises the first kind before it writes a byte: there was no connection (name, TCP or TLS).
    """
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSent(_because(failure, error)) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
        raise Unknown(_because(failure, error)) from error


@lru_cache(maxsize=CACHED_CLIENTS)
def _is_url(text: str) -> bool:
    """Whether a host can be asked there: aiohttp would tell of some mistakes too late to know that nothing left."""
    try:
        url = urlsplit(text)
        host = (url.hostname or "").encode("idna")
        _ = url.port
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(host) and "@" not in url.netloc


def _because(failure: str, reason: object) -> str:
    return f"{failure}: {str(reason) or type(reason).__name__}"


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _form(params: Mapping[str, Any], to: str) -> bytes:
    """The parameters as an encoded form; ValueError, for the client to read, if they cannot be one."""
    if unknown := sorted(params.keys() - CALL_PARAMETERS):
        raise ValueError(f"{unknown[0]!r} is not a parameter of a call")
    own = {name: value for name, value in params.items() if name != "to" and value is not None}
    try:
        key = orjson.dumps(own)
    except orjson.JSONEncodeError as error:
        raise ValueError("a parameter is not text") from error
    encode = _encoded if len(key) <= MAX_CACHED_FORM else _encoded.__wrapped__
    return b"To=" + quote_plus(to).encode() + encode(key)


@lru_cache(maxsize=CACHED_FORMS)
def _encoded(params: bytes) -> bytes:
    """What follows in the form of calls with these parameters, as JSON: one batch operation's are all the same."""
    fields = {_FIELDS[name]: _text(name, value) for name, value in orjson.loads(params).items()}
    return b"&" * bool(fields) + urlencode(fields, doseq=True).encode()


def _text(name: str, value: Any) -> str | list[Any]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        raise ValueError(f"{name} cannot be an object")
    if isinstance(value, (list, tuple)):
        return [_text(name, item) for item in value if item is not None]
    return str(value)


def _verdict(response: Response, method: str, path: str, failure: str) -> ProviderError:
    """What an answer that is no success means: see the classes."""
    status = response.status_code
    error = Version.exception(method, path, response, failure)
    message = _message(error, status, failure)
    if status == 429:
        return NotSent(message, _retry_after(response.headers.get("Retry-After")))
    if status in MOVED:
        return CallRejected(f"{message}, moved to {response.headers.get('Location')}")
    if status in ACCOUNT_REFUSALS and getattr(error, "code", None) not in CALL_ERRORS:
        return AccountRefused(message)
    if 400 <= status < 500 and status != 408:
        return CallRejected(message)
    return Unknown(message)


def _message(error: Any, status: int, failure: str) -> str:
    """The provider's words, from Twilio's JSON or RFC 9457's; else the HTTP status."""
    message = str(error.msg) if hasattr(error, "msg") else f"{failure}: {error.detail or error.title}"
    return f"{failure}: HTTP {status}" if message == failure else message


def _retry_after(header: str | None) -> float | None:
    """Seconds, at most an hour, from a number or a date (RFC 9110, 10.2.3); None from anything else."""
    if header and header.isascii() and header.isdigit():
        return min(float(header), MAX_RETRY_AFTER)
    moment = _moment(header)
    if moment is None:
        return None
    return min(max((moment - clock.now()).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _object(text: str, failure: str) -> dict[str, Any]:
    try:
        payload = orjson.loads(text)
    except ValueError as error:
        raise Unknown(f"{failure}: the answer is not JSON") from error
    if not isinstance(payload, dict):
        raise Unknown(f"{failure}: the answer is not a JSON object")
    return payload


def _storable(value: Any, levels: int) -> Any:
    """The value as MongoDB takes it: null for what is more than LEVELS deep, text for too large a number."""
    if isinstance(value, dict):
        return {key: _storable(inner, levels - 1) for key, inner in value.items()} if levels else None
    if isinstance(value, list):
        return [_storable(inner, levels - 1) for inner in value] if levels else None
    return str(value) if isinstance(value, int) and value > MAX_INTEGER else value


def _call(payload: Mapping[str, Any], failure: str) -> Call:
    sid = payload.get("sid")
    if not (isinstance(sid, str) and sid):
        raise Unknown(f"{failure}: the answer has no sid")
    return {
        key: value if isinstance(value, str) else _storable(value, MAX_LEVELS)
        for key, value in payload.items()
        if value is not None
    }


def _calls(page: Mapping[str, Any]) -> list[Call]:
    calls = page.get("calls")
    if not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise Unknown(f"{FETCH}: the answer is not a list of calls")
    return [_call(call, FETCH) for call in calls]


def _next_query(page: Mapping[str, Any]) -> dict[str, Any]:
    """Only the query of the next page's address is followed: our token goes nowhere else."""
    uri = page.get("next_page_uri")
    return dict(parse_qsl(uri.partition("?")[2])) if isinstance(uri, str) else {}


def _is_to(call: Mapping[str, Any], to: str) -> bool:
    """A provider that ignores the filter must not answer for another phone."""
    return str(call.get("to")).lstrip("+") == to.lstrip("+")


def _is_since(call: Mapping[str, Any], since: datetime) -> bool:
    made = _moment(call.get("date_created"))
    return made is None or made >= since.replace(microsecond=0)


def _moment(value: Any) -> datetime | None:
    """An aware time, from Twilio's ``Tue, 31 Aug 2010 20:36:28 +0000`` or Somleng's ISO 8601; else None."""
    if not isinstance(value, str):
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(value)
        except (ValueError, OverflowError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None

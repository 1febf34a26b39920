"""The line to the application: Twilio's signed requests, to this machine only."""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from scfm.errors import ScfmError
from scfm.simulator.call import Call
from scfm.twiml.signature import signature

# So many that a slow application sees how many wait for it; but each is an open file.
MAX_CONNECTIONS = 1000
# A connection idle for this many seconds is not used again: common servers hang up after two or more.
WEBHOOK_KEEP_ALIVE = 1.0
MAX_REDIRECTS = 5
MAX_ANSWER = 1 << 20
MAX_HEADER_LINE = 1 << 16


class ApplicationUnreachable(ScfmError):
    """The application gave no answer. The text is the reason."""


class Reply(NamedTuple):
    """What the application answered; the headers' names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@lru_cache(maxsize=1024)
def is_local(url: str) -> bool:
    """Whether the URL's host is this machine: 127.0.0.0/8, ::1, localhost. No other is ever contacted."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackResolver(AbstractResolver):
    """Addresses of this machine, without asking anybody for them."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of ``localhost``, the one name that ``is_local``."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for kind, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        ]

    async def close(self) -> None:
        """There is nothing to let go of."""


class Connector(aiohttp.TCPConnector):
    """Connections to this machine, kept, but none that the other end has closed by the time it is used.

    On one machine a hang-up arrives at once, but the event loop hears of it a little later. A request that it meets
    may have been acted on, so it cannot be sent again.
    """

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=WEBHOOK_KEEP_ALIVE, resolver=LoopbackResolver())
        # Those that were used before, by their protocol: uvloop's transport of TLS can have no weak reference.
        self._used = WeakSet[asyncio.Protocol]()

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """A connection for a request, as the library asks for it. Raises aiohttp.ClientError."""
        while True:
            connection = await super().connect(*args, **kwargs)
            transport, protocol = connection.transport, connection.protocol
            if transport is None or protocol is None or protocol not in self._used:
                break
            if not _has_news(transport):
                return connection
            connection.close()
        if protocol is not None:
            self._used.add(protocol)
        return connection


def _has_news(transport: asyncio.Transport) -> bool:
    """Whether there is something to read, which on an idle connection can only be its end."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


class WebhookClient:
    """Sends requests to the application's webhooks, a bounded number at a time. Made inside a running event loop."""

    def __init__(self) -> None:
        # The connector has no limit: a wait there would count against the time limits.
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._session = aiohttp.ClientSession(
            connector=Connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEADER_LINE,
            max_field_size=MAX_HEADER_LINE,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def send(
        self, call: Call, url: str, method: str, parameters: Mapping[str, str], seconds: float = 15.0
    ) -> Reply:
        """Ask ``url`` with the parameters, in the query for GET and else in the body, and give the answer.

        Waits at most ``seconds``. Follows redirects, by GET. Raises ApplicationUnreachable.
        """
        try:
            async with self._free:
                return await self._follow(call, url, method, parameters, seconds)
        finally:
            call.webhook_delivered()

    async def _follow(
        self, call: Call, url: str, method: str, parameters: Mapping[str, str], seconds: float
    ) -> Reply:
        for _ in range(MAX_REDIRECTS + 1):
            if not is_local(url):
                raise ApplicationUnreachable(f"{url} is not on this machine")
            reply = await self._ask(call, url, method, parameters, seconds)
            location = reply.headers.get("Location")
            if reply.status not in (301, 302, 303, 307, 308) or not location:
                return reply
            url, method = urljoin(url, location), "GET"
        raise ApplicationUnreachable("too many redirects")

    async def _ask(self, call: Call, url: str, method: str, parameters: Mapping[str, str], seconds: float) -> Reply:
        body: str | None = urlencode(parameters)
        signed: Mapping[str, str] = parameters
        if method == "GET":
            if body:
                url += ("&" if urlsplit(url).query else "?") + body
            body, signed = None, {}
        try:
            return await self._fetch(method, url, _headers(call.token, url, signed), body, seconds)
        except TimeoutError as error:
            raise ApplicationUnreachable(f"no answer in {seconds:g} seconds") from error
        except Exception as error:  # whatever a socket or a parser can raise is one thing here
            raise ApplicationUnreachable(str(error) or type(error).__name__) from error

    async def _fetch(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, seconds: float
    ) -> Reply:
        asked = self._session.request(
            method,
            URL(url, encoded=True),  # as it was signed
            headers=headers,
            data=body and body.encode(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds),
        )
        async with asked as answer:
            return Reply(answer.status, answer.headers, await _body(answer))


def _headers(token: str, url: str, signed: Mapping[str, str]) -> dict[str, str]:
    headers = {
        "X-Twilio-Signature": signature(token, url, signed),
        "User-Agent": "TwilioProxy/1.1",
        "Accept": "*/*",
        "Accept-Encoding": "gzip",
    }
    if signed:
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
    return headers


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """The whole of it, if it is not too large. Raises ValueError."""
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER:
            raise ValueError(f"the answer has more than {MAX_ANSWER} bytes")
    return bytes(body)

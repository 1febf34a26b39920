"""The line to the application: Twilio's signed requests, to this machine only."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from scfm.errors import ScfmError

from .call import Call

MOST_CONNECTIONS = 100
MOST_REDIRECTS = 5
LARGEST_ANSWER = 1 << 20


class Unreachable(ScfmError):
    """The application gave no answer. The text is the reason."""


@lru_cache(maxsize=1024)
def is_here(url: str) -> bool:
    """Whether the URL's host is this machine: 127.0.0.0/8, ::1, localhost. No other is ever contacted."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Loopback(Resolver):
    """Addresses of this machine, without asking anybody for them."""

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """The addresses of a host that ``is_here``."""
        hosts = ("127.0.0.1", "::1") if host == "localhost" else (host,)
        return [(socket.AF_INET6 if ":" in name else socket.AF_INET, (name, port)) for name in hosts]


class Line:
    """Sends requests to the application's webhooks, a bounded number at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MOST_CONNECTIONS)
        # The semaphore keeps the client's own queue empty: a wait there would count against the time limits.
        self._client = SimpleAsyncHTTPClient(
            force_instance=True,
            max_clients=MOST_CONNECTIONS,
            max_body_size=LARGEST_ANSWER,
            resolver=Loopback(),
        )

    def close(self) -> None:
        """Let go of the client."""
        self._client.close()

    async def send(
        self, call: Call, url: str, method: str, parameters: Mapping[str, str], seconds: float = 15.0
    ) -> HTTPResponse:
        """Ask ``url`` with the parameters, in the query for GET and else in the body, and give the answer.

        Waits at most ``seconds``. Follows redirects, by GET. Raises Unreachable.
        """
        try:
            async with self._free:
                return await self._follow(call, url, method, parameters, seconds)
        finally:
            call.webhook_delivered()

    async def _follow(
        self, call: Call, url: str, method: str, parameters: Mapping[str, str], seconds: float
    ) -> HTTPResponse:
        for _ in range(MOST_REDIRECTS + 1):
            if not is_here(url):
                raise Unreachable(f"{url} is not on this machine")
            answer = await self._fetch(_request(call, url, method, parameters, seconds))
            location = answer.headers.get("Location")
            if answer.code not in (301, 302, 303, 307, 308) or not location:
                return answer
            url, method = urljoin(url, location), "GET"
        raise Unreachable("too many redirects")

    async def _fetch(self, request: HTTPRequest) -> HTTPResponse:
        try:
            return await self._client.fetch(request, raise_error=False)
        except Exception as error:  # whatever a socket, a resolver or a parser can raise is one thing here
            raise Unreachable(str(error) or type(error).__name__) from error


def _request(call: Call, url: str, method: str, parameters: Mapping[str, str], seconds: float) -> HTTPRequest:
    """The request, signed as in https://www.twilio.com/docs/usage/security#validating-requests."""
    body: str | None = urlencode(parameters)
    signed: Mapping[str, str] = parameters
    if method == "GET":
        if body:
            url += ("&" if urlsplit(url).query else "?") + body
        body, signed = None, {}
    headers = {
        "X-Twilio-Signature": RequestValidator(call.token).compute_signature(url, signed),
        "User-Agent": "TwilioProxy/1.1",
        "Accept": "*/*",
    }
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
    return HTTPRequest(
        url,
        method=method,
        headers=headers,
        body=body,
        follow_redirects=False,
        connect_timeout=seconds,
        request_timeout=seconds,
    )

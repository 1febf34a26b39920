"""Sends webhooks, and nowhere but where they may go.

The name of an endpoint is resolved once for a connection. Every address that it has must be allowed, and the
connection is made to one of exactly these: what the name resolves to a moment later changes nothing. TLS and the
header ``Host`` have the name. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from scfm import __version__
from scfm.endpoint_client.addresses import Network, is_public, is_within
from scfm.endpoint_client.bounded_connector import BoundedConnector

# Seconds of a request: in all, and for the connection (TLS, too). An endpoint that is slower does its work after it
# has answered.
MAX_REQUEST_SECONDS, MAX_CONNECT_SECONDS = 15.0, 5.0
MAX_RESOLVE_SECONDS = 4.0
# uvloop resolves names in four threads, which providers' names need, too.
MAX_RESOLVING = 2
# Bytes that are read of an answer, and characters of it that are kept.
MAX_READ_BYTES, MAX_KEPT_ANSWER = 1 << 16, 500
KEEP_ALIVE_SECONDS = 4
MAX_URL_LENGTH = 2000

NOT_A_URL: Final = "must be an https URL, such as https://example.org/alerts"
NO_HTTP: Final = "must be an https URL: http is for addresses within WEBHOOK_ALLOWED_NETWORKS"
NOT_ALLOWED: Final = "leads to an address that is not public: see WEBHOOK_ALLOWED_NETWORKS"
NOT_RESOLVED: Final = "has a host that cannot be found"


class NotAllowed(Exception):
    """A webhook must not be sent there; the message goes on after "the URL"."""


@dataclass(frozen=True)
class DeliveryAttempt:
    """What came of one request: the status of the answer, or why there was none, in a sentence.

    ``seconds`` is how long it took, ``answer`` the beginning of the answer's body, ``retry_after`` the header.
    """

    status: int | None
    error: str | None
    seconds: float
    answer: str = ""
    retry_after: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the endpoint has taken it: only a 2xx says so."""
        return self.status is not None and 200 <= self.status < 300


class EndpointClient:
    """A pool of connections to endpoints, no more than CONNECTIONS at once.

    ALLOWED are networks that may be reached though they are not public, and without TLS. TLS is the context of the
    connections, None for one with the certificates of the system.
    """

    def __init__(self, allowed: Sequence[Network], connections: int, tls: ssl.SSLContext | None = None) -> None:
        self._allowed = tuple(allowed)
        self._connections = connections
        self._tls = tls
        # By scheme, as it decides which addresses may be connected to.
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._resolving = asyncio.Semaphore(MAX_RESOLVING)

    async def url_error(self, url: str) -> str | None:
        """Why an endpoint cannot have this URL, None if it can: its host is resolved."""
        try:
            parsed = self._read(url)
            await self.resolve(parsed.scheme, parsed.raw_host or "", parsed.port or 0)
        except NotAllowed as error:
            return str(error)
        except (OSError, UnicodeError):  # a TimeoutError is an OSError; a label that is too long is no IDN
            return NOT_RESOLVED
        return None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> DeliveryAttempt:
        """Send BODY, JSON, once."""
        began = time.monotonic()
        status, answer, retry_after, problem = None, b"", None, None
        try:
            parsed = self._read(url)
            session = self._open_session(parsed.scheme)
            async with session.post(parsed, data=body, headers=headers, allow_redirects=False) as got:
                status, retry_after = got.status, got.headers.get("Retry-After")
                answer = await _beginning(got)
        except TimeoutError:
            problem = f"no answer within {MAX_REQUEST_SECONDS:g} s"
        except NotAllowed as error:
            problem = f"the URL {error}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = _described(error)
        if status is not None:  # what came of the rest of the answer changes nothing
            problem = None if 200 <= status < 300 else f"answered {status}"
        kept = answer.decode("utf-8", "replace").replace("\0", "")[:MAX_KEPT_ANSWER]
        return DeliveryAttempt(status, problem, time.monotonic() - began, kept, retry_after)

    async def resolve(
        self, scheme: str, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of HOST. Raises NotAllowed where one of them may not be connected to, OSError for none."""
        async with asyncio.timeout(MAX_RESOLVE_SECONDS), self._resolving:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        for *_, address in found:
            self._check(str(address[0]), scheme)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Let go of every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _read(self, url: str) -> URL:
        """A URL with a host; raises NotAllowed. What its host resolves to is looked at elsewhere."""
        try:
            parsed = URL(url)
        except ValueError:
            raise NotAllowed(NOT_A_URL) from None
        if parsed.scheme not in ("http", "https") or not parsed.raw_host or parsed.user or parsed.password:
            raise NotAllowed(NOT_A_URL)
        if parsed.scheme == "http" and not self._allowed:
            raise NotAllowed(NO_HTTP)
        return parsed

    def _check(self, address: str, scheme: str) -> None:
        """Raise NotAllowed where ADDRESS, as a resolver or a socket has it, may not be connected to."""
        if is_within(address, self._allowed):
            return
        if not is_public(address):
            raise NotAllowed(NOT_ALLOWED)
        if scheme != "https":
            raise NotAllowed(NO_HTTP)

    def _open_session(self, scheme: str) -> aiohttp.ClientSession:
        session = self._sessions.get(scheme)
        if session is None:
            session = self._sessions[scheme] = aiohttp.ClientSession(
                connector=BoundedConnector(
                    limit=self._connections,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                    resolver=_CheckingResolver(self, scheme),
                    use_dns_cache=False,
                    socket_factory=lambda info: self._socket(info, scheme),
                    ssl=True if self._tls is None else self._tls,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),  # endpoints share the session
                timeout=aiohttp.ClientTimeout(total=MAX_REQUEST_SECONDS, connect=MAX_CONNECT_SECONDS),
                auto_decompress=False,
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"scfm/{__version__}",
                    "Accept-Encoding": "identity",
                },
            )
        return session

    def _socket(self, info: Any, scheme: str) -> socket.socket:
        """The socket of a connection: the last look, also at a host that is an address, for which nobody is asked."""
        family, kind, protocol, _, address = info
        self._check(str(address[0]), scheme)
        return socket.socket(family, kind, protocol)


class _CheckingResolver(AbstractResolver):
    """Gives a connector the addresses of a host, if all of them are allowed."""

    def __init__(self, client: EndpointClient, scheme: str) -> None:
        self._client = client
        self._scheme = scheme

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return await self._client.resolve(self._scheme, host, port, family)

    async def close(self) -> None:
        """There is nothing to let go of."""


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """What the body of an answer begins with: a whole short one, so that the connection can be used again."""
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MAX_READ_BYTES:
            answer.close()
            break
    return bytes(body[:MAX_READ_BYTES])


def _described(error: Exception) -> str:
    """Why a request has failed, without the address that a connection was tried to."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host cannot be found"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return "the connection is not secure: its certificate, or its TLS, is not accepted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    return f"the connection broke: {type(error).__name__}"

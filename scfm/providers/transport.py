"""The HTTP connections to all providers, as the Twilio library wants them."""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]

from scfm.providers.bounded_body import read_body
from scfm.providers.errors import NotSent

log = logging.getLogger(__name__)

# A connection idle for this many seconds is not used again: common servers hang up after five, and a POST
# that meets a hang-up may have rung.
KEEP_ALIVE = 4
# Bytes of JSON, after any decompression: Twilio's call has two thousand, and a page a thousand of these.
MAX_ANSWER_BYTES, MAX_PAGE_BYTES = 1 << 20, 4 << 20

BeforeSend = Callable[[], Awaitable[None]]
"""Awaited just before a request is written; the request is written as soon as it returns. May raise NotSent."""


class CallForm(aiohttp.BytesPayload):
    """An encoded form that awaits ``before_send`` just before it is written: no provider acts before it has the form.

    ``withheld`` is the error with which ``before_send`` kept it from being written.
    """

    def __init__(self, content: bytes, before_send: BeforeSend) -> None:
        super().__init__(content, content_type="application/x-www-form-urlencoded")
        self.withheld: NotSent | None = None
        self._before_send = before_send

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        try:
            await self._before_send()
        except NotSent as error:
            self.withheld = error
            raise
        await super().write_with_length(writer, content_length)


class Transport(AsyncHttpClient):  # type: ignore[misc]
    """One pool of kept connections, with time-outs. Times are in seconds.

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
        data: CallForm | None,
        headers: Mapping[str, str],
        auth: tuple[str, str],
        **_: Any,
    ) -> Response:
        """The whole answer to one request, sent once. Raises ValueError for a success that is too long to be read."""
        headers = {**headers, "Authorization": _basic(auth), "Accept-Encoding": "identity"}
        max_bytes = MAX_PAGE_BYTES if params else MAX_ANSWER_BYTES  # only lists have a query
        sending = self._open_session().request(
            method,
            uri,
            params=params,
            data=data,
            headers=headers,
            allow_redirects=False,
        )
        async with sending as answer:
            try:
                body = await read_body(answer, max_bytes)
            except ValueError:
                if 200 <= answer.status < 300:
                    raise
                body = b""  # what a refusal means is told by its status
            return Response(answer.status, body.decode("utf-8", "replace"), answer.headers)

    async def download(self, url: str, auth: tuple[str, str], max_bytes: int) -> tuple[int, bytes]:
        """The status and the body of what is at URL. Raises ValueError for a body that is too long."""
        headers = {"Authorization": _basic(auth), "Accept-Encoding": "identity"}
        async with self._open_session().get(url, headers=headers, allow_redirects=False) as answer:
            return answer.status, await read_body(answer, max_bytes)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),  # accounts share the session
                timeout=self._timeout,
                auto_decompress=False,  # it would decompress whatever comes: see bounded_body.py
            )
        return self._session


def _basic(auth: tuple[str, str]) -> str:
    return f"Basic {base64.b64encode(':'.join(auth).encode()).decode()}"

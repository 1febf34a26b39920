"""Connections that are closed where the other side sends answer upon answer, or an answer without end.

aiohttp takes as many interim answers (RFC 9110, 15.2: ``100 Continue``) as come, and keeps those that nobody has
asked for. A receiver that sends nothing else has the event loop parse them for seconds, in which no call is answered;
so has one whose chunk has an extension without end.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

# Answers to one request: the interim ones with that which ends it. Bytes of them, of which a body is read in part.
MAX_ANSWERS_TO_REQUEST: Final = 8
MAX_RECEIVED_BYTES: Final = 1 << 20
# Bytes that are parsed before the answers in them are counted.
PARSED_AT_ONCE: Final = 4096


class BoundedConnector(aiohttp.TCPConnector):
    """A pool of connections, each of which breaks, with a ClientError, at more than that for one request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        handler: type[ResponseHandler] = _BoundedHandler
        self._factory = functools.partial(handler, loop=self._loop)


class _BoundedHandler(ResponseHandler):
    _answers = _received = 0

    def set_response_params(self, **options: Any) -> None:
        self._answers = self._received = 0
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > MAX_RECEIVED_BYTES:
            self._break("an answer without end")
            return
        super().data_received(data[:PARSED_AT_ONCE])  # without data, too: aiohttp goes on with what it has so
        for start in range(PARSED_AT_ONCE, len(data), PARSED_AT_ONCE):
            if self.exception() is not None:
                break
            super().data_received(data[start : start + PARSED_AT_ONCE])

    def feed_data(self, data: Any, size: int = 0) -> None:
        self._answers += 1
        if self._answers > MAX_ANSWERS_TO_REQUEST:
            self._break("more answers than to one request")
        else:
            super().feed_data(data, size)

    def _break(self, reason: str) -> None:
        if self.exception() is None:
            self.set_exception(aiohttp.ClientPayloadError(reason))
            if self.transport is not None:
                self.transport.abort()  # not ``self.abort``, which forgets the exception

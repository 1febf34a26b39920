"""The body of a request, read by hand, so that a large one can be refused before it is read."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable
from typing import Any, cast

import tornado.web
from tornado.iostream import StreamClosedError

from scfm.errors import BadRequest, Overloaded, TooLarge
from scfm.handlers.application import Collaborators
from scfm.handlers.parameter_limits import Limits
from scfm.handlers.parameters import parse_parameters

# More than any body has, and few enough digits for int(), which refuses some thousands of them.
MAX_LENGTH_DIGITS = 19


@tornado.web.stream_request_body
class RequestBodyHandler(tornado.web.RequestHandler):
    """Takes the body of a request as it comes, within bounds, and gives the parameters of the request."""

    app: Collaborators
    # What has come of the body; not a list of its pieces, of which a body may have a million.
    content: bytearray
    # The bytes that have come, also of a body that is too large to be kept.
    size = 0
    # A body up to this many times the limit is read and thrown away, so that the client sees the answer.
    drained_sizes = 32

    @property
    def _max_body_size(self) -> int:
        """Bytes: a larger body is refused with 413."""
        return self.app.settings.max_body_size

    @property
    def _max_parameters(self) -> int:
        """Names and list elements of which the parameters may consist."""
        return Limits.fields

    def _refuse_large_body(self) -> None:
        limit = self._max_body_size
        if "Content-Length" in self.request.headers and self._declared_length() > limit * self.drained_sizes:
            self.set_header("Connection", "close")
            raise TooLarge
        # One that does not say how long it is is found to be too large in data_received.
        cast(Any, self.request.connection).set_max_body_size(limit * max(self.drained_sizes, 2))

    def _declared_length(self) -> int:
        """The Content-Length; raises BadRequest for one that is no number (RFC 9110, 8.6)."""
        declared = self.request.headers["Content-Length"]
        if not re.fullmatch(r"[0-9]+(?:, *[0-9]+)*\Z", declared, re.ASCII):
            self.set_header("Connection", "close")
            raise BadRequest("Content-Length is not a number")
        digits = declared.partition(",")[0].lstrip("0")  # Tornado refuses a list of different ones
        return int(digits or 0) if len(digits) <= MAX_LENGTH_DIGITS else sys.maxsize

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Tornado's way in: a part of the body has come. What is too large is counted, and not kept."""
        self.size += len(chunk)
        if self.size <= self._max_body_size:
            self.content += chunk
            self.app.bodies.hold(self, len(chunk))
        else:
            self._release_body()
        return None

    @property
    def body_is_unfinished(self) -> bool:
        """Whether more of the body is to come."""
        return not self.request._body_future.done()

    def refuse_body(self) -> None:
        """Answer 503 before the body has ended, as all bodies together are too large (see ``BodyBudget``)."""
        error = Overloaded("too many large requests are being sent at once; try again")
        self.send_error(503, exc_info=(Overloaded, error, None))
        self._give_up_body()

    def on_connection_close(self) -> None:
        """Tornado's way out: the client has gone."""
        if self.body_is_unfinished:
            self._give_up_body()

    def on_finish(self) -> None:
        """Tornado's way out: the answer has been given."""
        if self.size:
            self._release_body()

    def _give_up_body(self) -> None:
        """Nothing more of the body will come: end Tornado's wait for it, which would keep everything for ever."""
        self._release_body()
        self.app.request_tracker.ended(self.request.connection)
        cast(Any, self).ui = None  # a cycle that Tornado breaks when a request has been answered
        waited_for = self.request._body_future
        # The error will know the frame that waits, and with it this request: it must not be known by the request.
        self.request._body_future = asyncio.Future()
        self.request._body_future.set_result(None)
        waited_for.set_exception(StreamClosedError())
        waited_for.exception()  # asyncio would complain of one that nobody has looked at

    def _release_body(self) -> None:
        self.content = bytearray()
        self.app.bodies.release(self)

    def parameters(self) -> dict[str, Any]:
        """The request's parameters, wherever they stand; raises BadRequest, TooLarge."""
        if self.size > self._max_body_size:
            raise TooLarge
        limits = Limits(body=self._max_body_size, fields=self._max_parameters)
        content_type = self.request.headers.get("Content-Type", "")
        return parse_parameters(self.request.query, bytes(self.content), content_type, limits)

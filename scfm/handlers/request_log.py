"""Counts and logs the requests that have been answered, many at a time.

Code that runs once in a request finds nothing of its own in the processor's caches, and takes several times as long
as in a loop. So a request leaves no more than a tuple, and the rest is done for all that came within
REQUESTS_GATHER_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging
import time

from tornado.web import RequestHandler

from scfm.runtime import log_context
from scfm.runtime.log_format import AnsweredRequest
from scfm.runtime.log_writer import ThreadedHandler
from scfm.runtime.metrics import HTTP_REQUEST_SECONDS, METHODS, OTHER

log = logging.getLogger("scfm.http")

REQUESTS_GATHER_SECONDS = 0.05
MAX_GATHERED = 256
# In place of the name of a route, where there is none.
NO_ROUTE = "(other)"
# Asked for every few seconds by machines, or dozens at a time by a browser: their lines are for debug.
QUIET_ROUTES = frozenset({"/health", "/ready", "/metrics", "/static/{digest}/{file}"})


# When it was answered, in seconds since 1970; the method as it was sent; route, status; in how many seconds; account;
# id. One with names takes another 0.3 µs to make.
_Answered = tuple[float, str | None, str, int, float, int | None, str]


class RequestLog:
    """The requests that have been answered, and are not counted and logged yet."""

    def __init__(self) -> None:
        self._answered: list[_Answered] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, handler: RequestHandler) -> None:
        """The request of HANDLER has just been answered by the task that runs."""
        known, request = vars(handler), handler.request
        request_id = known.get("request_id", "-")
        account_id = getattr(known.get("client"), "account_id", None)
        # One whose body is refused for others is answered by their task.
        if account_id is None and log_context.request_id() == request_id:
            account_id = log_context.request_account()
        # The route, not the path or query: these may hold a phone number.
        route, status = known.get("route", NO_ROUTE), handler.get_status()
        seconds = request.request_time()
        self._answered.append((time.time(), request.method, route, status, seconds, account_id, request_id))
        if self._closed or len(self._answered) >= MAX_GATHERED:
            self.tell()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(REQUESTS_GATHER_SECONDS, self.tell, context=log_context.nobody())

    def tell(self) -> None:
        """Count those that wait, and hand over their lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answered, self._answered = self._answered, []
        lowest, lines = log.getEffectiveLevel(), []
        for created, sent_method, route, status, seconds, account_id, request_id in answered:
            method = sent_method if sent_method in METHODS else OTHER
            HTTP_REQUEST_SECONDS.observe(seconds, route, method, status)
            level = logging.DEBUG if route in QUIET_ROUTES else logging.INFO
            if level >= lowest:
                lines.append(
                    AnsweredRequest(created, level, log.name, method, route, status, seconds, account_id, request_id)
                )
        if lines:
            _hand_over(lines)

    def close(self) -> None:
        """Tell what waits, and from here on each request at once: the loop may end before a timer does."""
        self._closed = True
        self.tell()


def _hand_over(lines: list[AnsweredRequest]) -> None:
    for sink in logging.root.handlers:
        if isinstance(sink, ThreadedHandler):
            sink.add_requests(lines)
        else:
            for line in lines:
                if line.level >= sink.level:
                    sink.handle(line.record())

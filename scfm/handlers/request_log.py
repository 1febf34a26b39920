"""Counts and logs the requests that have been answered, many at a time.

Code that runs once in a request finds nothing of its own in the processor's caches, and takes several times as long
as in a loop. So a request leaves no more than a tuple, and the rest is done for all that came within GATHER_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging
import time

from tornado.web import RequestHandler

from scfm.runtime import log_context
from scfm.runtime.log_format import AnsweredRequest
from scfm.runtime.log_writer import ThreadedHandler
from scfm.runtime.metrics import METHODS, OTHER, observe_request

log = logging.getLogger("scfm.http")

GATHER_SECONDS = 0.05
MAX_GATHERED = 256
# In place of the name of a route, where there is none.
NO_ROUTE = "(other)"
# Asked for every few seconds by machines, or dozens at a time by a browser: their lines are for debug.
QUIET_ROUTES = frozenset({"/health", "/ready", "/metrics", "/static/{digest}/{file}"})


class RequestLog:
    """The requests that have been answered, and are not counted and logged yet."""

    def __init__(self) -> None:
        # When, in seconds since 1970; method, route, status, seconds, account, id.
        self._answered: list[tuple[float, str | None, str, int, float, int | None, str]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, handler: RequestHandler) -> None:
        """The request of HANDLER has just been answered by the task that runs."""
        known, request = vars(handler), handler.request
        request_id = known.get("request_id", "-")
        account_id = getattr(known.get("client"), "account_id", None)
        # One whose body is refused for others is answered by their task.
        if account_id is None and log_context.request_id() == request_id:
            account_id = log_context.request_account()
        # A path or a query may hold a number: the line has the route.
        route, status = known.get("route", NO_ROUTE), handler.get_status()
        seconds = request.request_time()
        self._answered.append((time.time(), request.method, route, status, seconds, account_id, request_id))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.tell)
        elif len(self._answered) >= MAX_GATHERED:
            self.tell()

    def tell(self) -> None:
        """Count those that wait, and hand over their lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        answered, self._answered = self._answered, []
        lowest, lines = log.getEffectiveLevel(), []
        for created, asked, route, status, seconds, account_id, request_id in answered:
            method = asked if asked in METHODS else OTHER
            observe_request(route, method, status, seconds)
            level = logging.DEBUG if route in QUIET_ROUTES else logging.INFO
            if level >= lowest:
                about = (method, route, status, seconds, account_id, request_id)
                lines.append(AnsweredRequest(created, level, log.name, *about))
        if lines:
            _hand_over(lines)


def _hand_over(lines: list[AnsweredRequest]) -> None:
    for sink in logging.root.handlers:
        if isinstance(sink, ThreadedHandler):
            sink.add_requests(lines)
        else:
            for line in lines:
                if line.level >= sink.level:
                    sink.handle(line.record())

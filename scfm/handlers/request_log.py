"""The line in the log for each request that has been answered."""

from __future__ import annotations

import logging
import time

from tornado.web import RequestHandler

from scfm.runtime import log_context
from scfm.runtime.log_format import AnsweredRequest
from scfm.runtime.log_writer import ThreadedHandler
from scfm.runtime.metrics import OTHER

log = logging.getLogger("scfm.http")

# In place of the name of a route, where there is none.
NO_ROUTE = "(other)"
# Letters: what is no such word is OTHER, as in the metrics.
MAX_METHOD = 20
# Asked for every few seconds by machines, or dozens at a time by a browser: their lines are for debug.
QUIET_ROUTES = frozenset({"/health", "/ready", "/metrics", "/static/{digest}/{file}"})


def log_answer(handler: RequestHandler, route: str, status: int, seconds: float) -> None:
    """Log what was answered to whom, and in what time. A path or a query may hold a number: it has the route."""
    level = logging.DEBUG if route in QUIET_ROUTES else logging.INFO
    if not log.isEnabledFor(level):
        return
    known = vars(handler)
    request_id = known.get("request_id", "-")
    account_id = getattr(known.get("client"), "account_id", None)
    # One whose body is refused for others is answered by their task.
    if account_id is None and log_context.request_id() == request_id:
        account_id = log_context.request_account()
    method = handler.request.method or ""
    if not method.isalpha() or len(method) > MAX_METHOD:
        method = OTHER
    answered = AnsweredRequest(time.time(), level, log.name, method, route, status, seconds, account_id, request_id)
    for sink in logging.root.handlers:
        if isinstance(sink, ThreadedHandler):
            sink.add_request(answered)
        elif level >= sink.level:
            sink.handle(answered.record())

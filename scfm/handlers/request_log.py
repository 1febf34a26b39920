"""The line in the log for each request that has been answered."""

from __future__ import annotations

import logging
import time

from tornado.web import RequestHandler

from scfm.runtime import log_context
from scfm.runtime.log_format import AnsweredRequest
from scfm.runtime.log_writer import log_request

log = logging.getLogger("scfm.http")

# In place of the name of a route, where there is none.
NO_ROUTE = "(other)"
# Asked for every few seconds by machines, or dozens at a time by a browser: their lines are for debug.
QUIET_ROUTES = frozenset({"/health", "/ready", "/metrics", "/static/{digest}/{file}"})


def log_answer(handler: RequestHandler) -> None:
    """Log what was answered to whom, and in what time. A path or a query may hold a number: it has the route."""
    known = vars(handler)
    route = known.get("route", NO_ROUTE)
    level = logging.DEBUG if route in QUIET_ROUTES else logging.INFO
    if not log.isEnabledFor(level):
        return
    request = handler.request
    request_id = known.get("request_id", "-")
    account_id = getattr(known.get("client"), "account_id", None)
    # One whose body is refused for others is answered by their task.
    if account_id is None and log_context.request_id() == request_id:
        account_id = log_context.request_account()
    log_request(
        AnsweredRequest(
            time.time(),
            level,
            log.name,
            request.method or "",
            route,
            handler.get_status(),
            request.request_time(),
            account_id,
            request_id,
        )
    )

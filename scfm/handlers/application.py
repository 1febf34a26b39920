"""The web application: the routes, and what the handlers work with."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import tornado.web
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)

from scfm.calls.preflight import Preflight
from scfm.calls.webhook_accounts import WebhookAccounts
from scfm.handlers.authentication import Authenticator
from scfm.handlers.body_budget import BodyBudget
from scfm.handlers.large_answers import LargeAnswers
from scfm.handlers.request_tracker import RequestTracker
from scfm.handlers.webhook_rejection_log import WebhookRejectionLog
from scfm.models.fields import Rules
from scfm.models.platform import Platform
from scfm.results.progress_feeds import ProgressFeeds
from scfm.results.statistics_reader import StatisticsReader
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.runtime.outage import DatabaseOutage
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.twiml.registry import Registry

log = logging.getLogger("scfm.http")


@dataclass(frozen=True)
class Collaborators:
    """What the handlers work with."""

    store: Store
    settings: Settings
    flows: Registry
    rules: Rules
    platform: Platform
    authenticator: Authenticator
    # The accounts that a provider's webhook may be for, by its AccountSid.
    webhook_accounts: WebhookAccounts
    webhook_rejections: WebhookRejectionLog
    # Tells the background that there is something to do.
    wake: Callable[[], None]
    # An event has changed the status of this callout: its queued calls wait, go on or are canceled.
    callout_status_changed: Callable[[Document], Awaitable[None]]
    # The number of the contact with this id may have changed.
    contact_renumbered: Callable[[int], None]
    # Numbers of the account with this id may have been opted out: none of its calls may leave to one of them.
    opt_outs_changed: Callable[[int], None]
    # The calls of the account with this id, None for all, have just been held or released.
    calls_held_changed: Callable[[int | None], None]
    # This phone call is to end, which is stored: it is canceled if it has not left; the call as it then is.
    call_withdrawn: Callable[[Document], Awaitable[Document]]
    # What the background has cached of accounts is old.
    calling_accounts_changed: Callable[[], None]
    # The requests that are being answered.
    request_tracker: RequestTracker
    # Is told when the database does not answer.
    outage: DatabaseOutage
    # The bytes that are held of request bodies.
    bodies: BodyBudget
    # The batches of contacts that are being stored.
    imports: AccountConcurrency
    # The exports and results that are being sent.
    downloads: AccountConcurrency
    # The statistics of callouts and accounts, and those that are followed.
    statistics: StatisticsReader
    progress_feeds: ProgressFeeds
    # The files of answers that are too large for memory.
    large_answers: LargeAnswers
    # Looks at plans before they start.
    preflight: Preflight

    def forget_accounts(self) -> None:
        """An account or an access token has changed: ask the database again who clients and providers are."""
        self.authenticator.forget()
        self.webhook_accounts.forget()
        self.calling_accounts_changed()


class WebApplication(tornado.web.Application):
    """Tornado's application, with its collaborators."""

    def __init__(self, routes: Sequence[Any], collaborators: Collaborators, missing: type) -> None:
        super().__init__(list(routes), default_handler_class=missing, compress_response=False)
        self.collaborators = collaborators

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Tornado's way in: a connection waits for a request."""
        cast(Any, request_conn).stream.await_request()
        return _Request(super().start_request(server_conn, request_conn))

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Tornado's way in: the head of a request has come."""
        cast(Any, request.connection).stream.begin_request()
        self.collaborators.request_tracker.began(request.connection)
        return super().find_handler(request, **options)

    def log_request(self, handler: tornado.web.RequestHandler) -> None:
        """Tornado's way out: the answer has been given."""
        self.collaborators.request_tracker.ended(handler.request.connection)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", _described(handler))


def _described(handler: tornado.web.RequestHandler) -> str:
    """A request and its answer, for the log: the route and not the path, and no query, which may hold a number."""
    answered = handler.request.method, vars(handler).get("route", "(no route)"), handler.get_status()
    account = getattr(vars(handler).get("client"), "account_id", "-")
    milliseconds = handler.request.request_time() * 1000
    return "{} {} {} {:.1f} ms, account {} (request {})".format(
        *answered, milliseconds, account, vars(handler).get("request_id", "-")
    )


class _Request(HTTPMessageDelegate):
    """Tornado's reader of a request, that answers 400 where its head raises ValueError."""

    def __init__(self, delegate: HTTPMessageDelegate) -> None:
        self._headers_received = delegate.headers_received
        self.data_received = delegate.data_received  # type: ignore[method-assign]
        self.finish = delegate.finish  # type: ignore[method-assign]
        self.on_connection_close = delegate.on_connection_close  # type: ignore[method-assign]

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        try:
            return self._headers_received(start_line, headers)
        except ValueError as error:  # such as a port of five thousand digits in Host
            raise HTTPInputError(str(error)) from error

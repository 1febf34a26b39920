"""The web application: the routes, and what the handlers work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

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

from scfm.calls.account_flows import AccountFlows
from scfm.calls.preflight import Preflight
from scfm.calls.webhook_accounts import WebhookAccounts
from scfm.endpoint_client.client import EndpointClient
from scfm.handlers.audit_log import AuditLog
from scfm.handlers.authentication import Authenticator
from scfm.handlers.body_budget import BodyBudget
from scfm.handlers.large_answers import LargeAnswers
from scfm.handlers.readiness import Readiness
from scfm.handlers.request_limits import RequestLimits
from scfm.handlers.request_log import RequestLog
from scfm.handlers.request_tracker import RequestTracker
from scfm.handlers.stored_chunks import StoredChunks
from scfm.handlers.webhook_rejection_log import WebhookRejectionLog
from scfm.models.fields import Rules
from scfm.models.idempotency import IdempotencyKeys
from scfm.models.platform import Platform
from scfm.models.stored_documents import PhoneCallDocument
from scfm.results.progress_feeds import ProgressFeeds
from scfm.results.queue_figures import QueueFigures
from scfm.results.statistics_reader import StatisticsReader
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.runtime.log_limit import LimitedLines
from scfm.runtime.outage import DatabaseOutage
from scfm.runtime.secret_box import SecretBox
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.store import Store

if TYPE_CHECKING:  # it takes 11 MB, and is loaded where an issuer is set
    from scfm.openid.issuer import Issuer


@dataclass(frozen=True)
class Collaborators:
    """What the handlers work with."""

    store: Store
    settings: Settings
    flows: AccountFlows
    rules: Rules
    platform: Platform
    authenticator: Authenticator
    # What clients do is recorded.
    audit: AuditLog
    idempotency_keys: IdempotencyKeys
    # The accounts that a provider's webhook may be for, by its AccountSid.
    webhook_accounts: WebhookAccounts
    webhook_rejections: WebhookRejectionLog
    # How many requests an account, and an address, may make.
    request_limits: RequestLimits
    # The lines in the log for those who are refused to sign in.
    sign_in_refusals: LimitedLines
    # Tells the background that there is something to do.
    wake: Callable[[], None]
    # An event has changed the status of this callout: its queued calls wait, go on or are canceled.
    callout_status_changed: Callable[[Document], Awaitable[None]]
    # The number of the contact with this id may have changed.
    contact_renumbered: Callable[[int], None]
    # The calls of the account with this id, None for all, have just been held or released.
    calls_held_changed: Callable[[int | None], None]
    # This phone call is to end, which is stored: it is canceled if it has not left; the call as it then is.
    call_withdrawn: Callable[[PhoneCallDocument], Awaitable[PhoneCallDocument]]
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
    # The parts of stored audio files that were sent last.
    stored_chunks: StoredChunks
    # The statistics of callouts and accounts, and those that are followed.
    statistics: StatisticsReader
    progress_feeds: ProgressFeeds
    # What waits in the database, and whether this process does its work.
    queue_figures: QueueFigures
    readiness: Readiness
    # The files of answers that are too large for memory.
    large_answers: LargeAnswers
    # Looks at plans before they start.
    preflight: Preflight
    # Seals the secrets of webhook endpoints.
    secret_box: SecretBox
    # Looks at where webhook endpoints are.
    endpoint_client: EndpointClient
    # Where people may sign in with accounts of their organisation; None where no issuer is set.
    issuer: Issuer | None

    def forget_accounts(self) -> None:
        """An account or an access token has changed: ask the database again who clients and providers are."""
        self.authenticator.forget()
        self.webhook_accounts.forget()
        self.flows.forget()
        self.calling_accounts_changed()


class WebApplication(tornado.web.Application):
    """Tornado's application, with its collaborators."""

    def __init__(self, routes: Sequence[Any], collaborators: Collaborators, missing: type) -> None:
        super().__init__(list(routes), default_handler_class=missing, compress_response=False)
        self.collaborators = collaborators
        self.request_log = RequestLog()

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
        if (end_span := vars(handler).get("end_span")) is not None:
            end_span(handler.get_status())
        self.request_log.add(handler)


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

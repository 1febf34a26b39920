"""The web application: the routes, and what the handlers work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tornado.web
from tornado.httputil import HTTPServerRequest

from scfm.handlers.authentication import Authenticator
from scfm.handlers.senders import Senders
from scfm.handlers.traffic import Traffic
from scfm.models.fields import Rules
from scfm.models.platform import Platform
from scfm.models.query import Document
from scfm.models.store import Store
from scfm.settings import Settings
from scfm.twiml.registry import Registry


@dataclass(frozen=True)
class Collaborators:
    """What the handlers work with.

    ``wake`` tells the background that there is something to do, ``callout_moved`` that an event has moved a
    callout, so that its queued calls wait, go on or are canceled; ``traffic`` is what is being answered.
    """

    store: Store
    settings: Settings
    flows: Registry
    rules: Rules
    platform: Platform
    authenticator: Authenticator
    senders: Senders
    wake: Callable[[], None]
    callout_moved: Callable[[Document], Awaitable[None]]
    traffic: Traffic

    def forget_accounts(self) -> None:
        """An account or an access token has changed: ask the database again who clients and providers are."""
        self.authenticator.forget()
        self.senders.forget()


class Application(tornado.web.Application):
    """Tornado's application, with its collaborators."""

    def __init__(self, routes: Sequence[Any], collaborators: Collaborators, missing: type) -> None:
        super().__init__(list(routes), default_handler_class=missing, compress_response=False)
        self.collaborators = collaborators

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """Tornado's way in: the head of a request has come."""
        self.collaborators.traffic.began(request.connection)
        return super().find_handler(request, **options)

    def log_request(self, handler: tornado.web.RequestHandler) -> None:
        """Tornado's way out: the answer has been given."""
        self.collaborators.traffic.ended(handler.request.connection)

"""The web application: the routes, and what the handlers work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tornado.web

from scfm.handlers.authentication import Authenticator
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
    callout, so that its queued calls wait, go on or are canceled.
    """

    store: Store
    settings: Settings
    flows: Registry
    rules: Rules
    platform: Platform
    authenticator: Authenticator
    wake: Callable[[], None]
    callout_moved: Callable[[Document], Awaitable[None]]


class Application(tornado.web.Application):
    """Tornado's application, with its collaborators."""

    def __init__(self, routes: Sequence[Any], collaborators: Collaborators, missing: type) -> None:
        super().__init__(
            list(routes), default_handler_class=missing, log_function=lambda _: None, compress_response=False
        )
        self.collaborators = collaborators

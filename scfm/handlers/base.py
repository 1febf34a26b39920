"""What every answer has in common: headers, errors, credentials, parameters."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from http import HTTPStatus
from types import TracebackType
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import tornado.web

from scfm.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Overloaded,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
    UnsupportedMediaType,
)
from scfm.handlers.application import WebApplication
from scfm.handlers.header_checks import check_headers
from scfm.handlers.request_body import RequestBodyHandler
from scfm.handlers.request_log import NO_ROUTE
from scfm.runtime import log_context, telemetry

log = logging.getLogger("scfm.http")

JSON_UTF8 = "application/json; charset=utf-8"
# The Cache-Control of what may change, and of what is named by its content.
FRESH, FOREVER = "max-age=0, private, must-revalidate", "public, max-age=31536000, immutable"
CHALLENGE = 'Bearer realm="scfm", error="invalid_token", error_description="The access token is invalid"'
RETRY_AFTER_SECONDS = 5

STATUS_BY_ERROR: tuple[tuple[type[Exception], int], ...] = (
    (BadRequest, 400),
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (UnsupportedMediaType, 415),
    (Invalid, 422),
    (TooManyRequests, 429),
    (Unavailable, 503),
)
# What a client may call its request. What looks like an access token is none: it would be in the log.
_REQUEST_ID = re.compile(r"(?![0-9a-f]{64}\Z)[A-Za-z0-9@_-]{1,255}")


class _AllMethods(tuple[str, ...]):
    """Has every method."""

    def __contains__(self, method: object) -> bool:
        return True


class BaseHandler(RequestBodyHandler):
    """The base of every handler: who may go on, the headers of an answer, its body, and errors."""

    # Tornado would answer a method that is not in it before ``prepare``, which counts the request and refuses it.
    SUPPORTED_METHODS = _AllMethods()

    location: str | None = None
    etag: str | None = None
    # The body of the answer as it may be given again: a secret that is shown once is not in it.
    replayable_body = b""
    # Whether a request counts as one of its address: what providers send and fetch does not, nor do probes.
    counts_for_address = True

    def initialize(self, verbs: str = "GET", route: str = NO_ROUTE, **options: Any) -> None:
        """Tornado's way to hand over what a route says; ``route_options`` is what is particular to its handler."""
        self.app = cast(WebApplication, self.application).collaborators
        # For the log: a path may hold what it must not show.
        self.route = route
        self.verbs = verbs.replace("GET", "GET HEAD").replace("PATCH", "PATCH PUT").split()
        self.route_options = options
        self.content = bytearray()

    def set_default_headers(self) -> None:
        """The headers of every answer, of an error too."""
        self.clear_header("Server")
        if not hasattr(self, "request_id"):  # Tornado calls this again for an error
            asked = self.request.headers.get("X-Request-Id", "")
            self.request_id = asked if _REQUEST_ID.fullmatch(asked) else str(uuid.uuid4())
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("X-Frame-Options", "SAMEORIGIN")
        self.set_header("X-XSS-Protection", "1; mode=block")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Type", JSON_UTF8)
        self.set_header("Cache-Control", "no-cache")

    async def prepare(self) -> None:
        """Refuse what can be refused before the body is read; raises NotFound, BadRequest, TooLarge, Unauthorized…"""
        log_context.work_for(self.request_id)
        if self.counts_for_address:
            self.app.request_limits.take_of_address(self.request)
        if self.request.method not in self.verbs:
            raise NotFound
        if (spans := telemetry.spans()) is not None:
            self.end_span = spans.begin_request(self.request.method, self.route)
        self._refuse_large_body()
        check_headers(self.request)
        await self.admit()

    async def admit(self) -> None:
        """Decide whether the client may go on; raises what it is to be told."""

    # The answer.

    def answer(self, status: int, body: Any = None, location: str | None = None) -> None:
        """Answer with JSON, or, for None, with nothing. LOCATION is the path on this server of what was created."""
        self.set_status(status)
        self.location = location
        if body is None:
            self.clear_header("Content-Type")
            return
        self.set_header("Cache-Control", FRESH)
        self.write_entity(orjson.dumps(body))

    def write_entity(self, content: bytes) -> None:
        """Write the whole body, with its weak ETag."""
        self.etag = f'W/"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        self.replayable_body = content
        self.write(content)

    def compute_etag(self) -> str | None:
        """What ``write_entity`` has set, for Tornado to compare with If-None-Match."""
        return self.etag

    def finish(self, chunk: Any = None) -> Any:
        # Tornado compares a GET's with If-None-Match itself, but only if it may set the header, too.
        if self.etag is not None and (self.get_status() != 200 or self.request.method not in ("GET", "HEAD")):
            self.set_header("ETag", self.etag)
        if self.location is not None and self.get_status() < 400:
            # A path of PUBLIC_URL comes in front.
            self.set_header("Location", urlsplit(self.app.settings.public_url).path + self.location)
        if self.body_is_unfinished:
            # Tornado closes the connection of a request that is refused before the end of its body.
            self.set_header("Connection", "close")
            if self.request.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.request.headers:
                cast(Any, self.request.connection).stream.lingers = True
        elapsed = self.request.request_time()
        self.set_header("X-Runtime", f"{elapsed:.6f}")
        return super().finish(chunk)

    # Errors.

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """End the request with an error: the status is by the type of the exception in ``exc_info``; 405 is 404."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status_code = status_of(error) or status_code
        super().send_error(404 if status_code == 405 else status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write the body of an error: ``{errors, hints}`` for Invalid, nothing for 401, else ``{status, error}``."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        self.set_header("Cache-Control", "no-cache")
        if isinstance(error, Unauthorized):
            self.clear_header("Content-Type")
            if error.challenge:
                self.set_header("WWW-Authenticate", CHALLENGE)
        elif isinstance(error, Invalid):
            hints = {"hints": error.hints} if error.hints else {}
            self.write_entity(orjson.dumps({"errors": error.errors, **hints}))
        else:
            if status_code == 503:
                self.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
            if isinstance(error, TooManyRequests):
                self.set_header("Retry-After", str(error.retry_after))
                for name, value in error.fields.items():
                    self.set_header(name, value)
            self.write_entity(orjson.dumps(_problem(status_code, error)))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what an operator has to know of: failures with their trace, and not what a client did wrong."""
        where = (self.request.method, self.route)
        if isinstance(value, Unreachable):
            self.app.outage.noticed(value)
        elif isinstance(value, Overloaded):
            pass  # it is logged where it is raised, and not for every request
        elif isinstance(value, Unavailable):
            log.error("%s %s: %s", *where, value)
        elif not isinstance(value, (tornado.web.HTTPError, *(kind for kind, _ in STATUS_BY_ERROR))):
            log.error("%s %s failed", *where, exc_info=value)


def base_url(handler: BaseHandler) -> str:
    """Where clients reach the server, without a slash at the end: PUBLIC_URL, else as the request has it."""
    return handler.app.settings.public_url or f"{handler.request.protocol}://{handler.request.host}"


def way_to_root(handler: BaseHandler) -> str:
    """The way from the request's path to the server's root: a link with it holds under a proxy's path, too."""
    return "/".join([".."] * (handler.request.path.count("/") - 1)) or "."


def status_of(error: BaseException | None) -> int | None:
    """The status that says what went wrong; None for what is not meant for clients."""
    return next((status for kind, status in STATUS_BY_ERROR if isinstance(error, kind)), None)


def _problem(status: int, error: BaseException | None) -> dict[str, Any]:
    problem = {"status": status, "error": HTTPStatus(status).phrase}
    told = (BadRequest, Forbidden, UnsupportedMediaType, TooManyRequests, Overloaded)
    if isinstance(error, told) and (message := str(error)):
        problem["message"] = message
    return problem


class MissingHandler(BaseHandler):
    """Every path that there is not."""

    async def prepare(self) -> None:
        self.app.request_limits.take_of_address(self.request)
        raise NotFound

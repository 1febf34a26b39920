"""An HTTP client of a server, which tries again what failed on the way, and says in a sentence what is refused."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode, urlsplit

from scfm.errors import ScfmError
from scfm.runtime.backoff import Backoff

T = TypeVar("T")

# Longer than any answer takes, and than the time between two comments of a stream.
SOCKET_SECONDS = 45.0
# How long to try a server that cannot be reached, and the waits in between.
PATIENCE_SECONDS = 15.0
REQUEST_BACKOFF = Backoff(first=0.25, longest=5.0)
# The request is being handled already (409), or may be handled later: it is sent again.
TRY_AGAIN = frozenset({409, 429, 500, 502, 503, 504})


class CommandFailed(ScfmError):
    """The command cannot go on. Its text says what is wrong and what to do; ``exit_status``: how the command ends."""

    exit_status: ClassVar[int]


class RequestRefused(CommandFailed):
    """What was asked for cannot be had, however often it is tried."""

    exit_status = 2


class ServerUnreachable(CommandFailed):
    """No answer came, or one that may be another later."""

    exit_status = 3


class AnswerStream:
    """The body of an answer, as it comes. Every method raises ServerUnreachable where it breaks off."""

    def __init__(self, response: HTTPResponse, url: str) -> None:
        self._response, self._url = response, url

    def read(self, size: int = -1) -> bytes:
        """At most SIZE bytes, or all; none at the end."""
        return self._read(lambda: self._response.read(size) if size >= 0 else self._response.read())

    def readline(self) -> bytes:
        """A line with its end; none at the end of the body."""
        return self._read(self._response.readline)

    def _read(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except (OSError, HTTPException) as error:
            raise _unreachable(self._url, error) from None


class ServerApi:
    """The server at a URL, as the account of a token sees it. Each request is a connection of its own.

    ``patience``: for how many seconds a request is tried again.
    """

    def __init__(self, url: str, token: str, patience: float = PATIENCE_SECONDS) -> None:
        self.patience = patience
        self._url = url.rstrip("/")
        self._parts = urlsplit(self._url)
        self._credentials = "Basic " + base64.b64encode(f"{token}:".encode()).decode()

    def get(self, path: str) -> Any:
        """The JSON at PATH. Raises CommandFailed."""
        return self.insist(lambda: self._exchange("GET", path))

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Post JSON; the answer. It is carried out once, however often it is sent. Raises CommandFailed."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self.insist(lambda: self._exchange("POST", path, body or {}, headers))

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Change what is at PATH by JSON, which says the same however often it is sent. Raises CommandFailed."""
        self.insist(lambda: self._exchange("PATCH", path, body))

    def upload(self, path: str, content: bytes, content_type: str) -> Any:
        """Post a file; the answer. It is taken once, however often it is sent. Raises CommandFailed."""
        headers = {"Content-Type": content_type, "Idempotency-Key": str(uuid.uuid4())}
        return self.insist(lambda: self._exchange("POST", path, content, headers))

    def delete(self, path: str) -> None:
        """Delete what is at PATH. Raises CommandFailed."""
        self.insist(lambda: self._exchange("DELETE", path))

    def insist(self, attempt: Callable[[], T]) -> T:
        """What ATTEMPT gives, which is made again while it raises ServerUnreachable and patience lasts."""
        failures, deadline = 0, None
        while True:
            try:
                return attempt()
            except ServerUnreachable:
                failures += 1
                deadline = deadline or time.monotonic() + self.patience
                wait = REQUEST_BACKOFF.seconds(failures)
                if time.monotonic() + wait > deadline:
                    raise
                time.sleep(wait)

    @contextmanager
    def stream(
        self, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[AnswerStream]:
        """A context with the body of what is at PATH. Raises CommandFailed; nothing is tried again."""
        asked = f"{path}?{urlencode(query)}" if query else path
        with self._answer("GET", asked, None, headers or {}) as response:
            yield AnswerStream(response, self._url)

    def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        with self._answer(method, path, body, headers or {}) as response:
            content = AnswerStream(response, self._url).read()
            try:
                return json.loads(content) if content else None
            except ValueError:
                raise RequestRefused(
                    f"what answers at {self._url} is not scfm: give the server's address by --server"
                ) from None

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | bytes | None, headers: Mapping[str, str]
    ) -> Iterator[HTTPResponse]:
        """A context with an answer that is a success."""
        connect = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = connect(self._parts.hostname or "", self._parts.port, timeout=SOCKET_SECONDS)
        sent = {"Authorization": self._credentials, **headers}
        if isinstance(body, Mapping):
            sent["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        try:
            try:
                connection.request(method, self._parts.path + path, body, sent)
                response = connection.getresponse()
            except (OSError, HTTPException, UnicodeError) as error:
                raise _unreachable(self._url, error) from None
            if not 200 <= response.status < 300:
                raise self._failure(response, path)
            yield response
        finally:
            connection.close()

    def _failure(self, response: HTTPResponse, path: str) -> CommandFailed:
        """What an answer that is no success means, as a sentence."""
        status, content = response.status, AnswerStream(response, self._url).read()
        if status in TRY_AGAIN:
            return ServerUnreachable(f"{self._url} answers {status}{_said(content)}: try again later")
        if 300 <= status < 400:
            return RequestRefused(f"the server is not at {self._url}, but: --server {response.headers['Location']}")
        if status == 401:
            return RequestRefused("the server refuses the token: give one that it knows, by --token or SCFM_TOKEN")
        if status == 404:
            callout = re.match(r"/api/callouts/([0-9]+)", path)
            missing = f"callout {callout[1]}" if callout else path.partition("?")[0]
            return RequestRefused(f"the server has no {missing}: check the id, and whose account the token is of")
        return RequestRefused(f"the server refuses it ({status}){_said(content)}")


def _unreachable(url: str, error: Exception) -> ServerUnreachable:
    said = str(error) or type(error).__name__
    return ServerUnreachable(f"{url} cannot be reached ({said}): check --server, and whether the server runs")


def _said(content: bytes) -> str:
    """What the body of an error says, after a colon, the hints with it; nothing where it says nothing."""
    try:
        body = json.loads(content)
        if "errors" not in body:
            return f": {body['error']}"
        errors, hints = body["errors"], body.get("hints", {})
        sentences = [
            f"{message if field == 'base' else f'{field}: {message}'}{f' ({hints[field]})' if field in hints else ''}"
            for field, messages in errors.items()
            for message in messages
        ]
        return ": " + "; ".join(sentences)
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""

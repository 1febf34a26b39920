"""The lines of the log, for people and for programs (``LOG_FORMAT``).

A line may have fields, which a program reads: ``log.info("…", extra=fields(account_id=3))``. People do not see them,
so the message says what matters.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import orjson

from scfm.runtime import log_context
from scfm.runtime.redaction import redacted

# The attributes of a record that ``fields`` and the line of a request set.
_FIELDS, _REQUEST_ID = "fields", "request_id"


def fields(**values: object) -> dict[str, Any]:
    """The ``extra`` of a line with these fields. Values are text, numbers, truth values or None."""
    return {_FIELDS: values}


class AnsweredRequest(NamedTuple):
    """What the line of a request tells. ``created``: when it was answered, in seconds since 1970.

    It has no text that anybody could have chosen, but for the id, in which ``redacted`` finds nothing to do.
    """

    created: float
    level: int
    logger: str
    method: str
    route: str
    status: int
    seconds: float
    account_id: int | None
    request_id: str

    @property
    def message(self) -> str:
        account = "-" if self.account_id is None else self.account_id
        return f"{self.method} {self.route} {self.status} {self.seconds * 1000:.1f} ms, account {account}"

    @property
    def fields(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "milliseconds": round(self.seconds * 1000, 1),
            "account_id": self.account_id,
        }

    def record(self) -> logging.LogRecord:
        """The same for a handler that knows of nothing but records."""
        given = {"name": self.logger, "levelno": self.level, "levelname": logging.getLevelName(self.level)}
        times = {"created": self.created, "msecs": self.created % 1 * 1000}
        own = {"msg": self.message, _FIELDS: self.fields, _REQUEST_ID: self.request_id}
        return logging.makeLogRecord({**given, **times, **own})


class LineFormatter(Protocol):
    """What makes lines of both."""

    def format(self, record: logging.LogRecord, /) -> str: ...

    def format_request(self, answered: AnsweredRequest, /) -> str:
        """The line that ``format`` makes of its record, for less: no record is made."""


def _request_of(record: logging.LogRecord) -> str | None:
    """The id of the request that a line is of, which is the running code's if the line does not say."""
    known: str | None = record.__dict__.get(_REQUEST_ID)
    return known if known is not None else log_context.request_id()


class _Seconds:
    """Times as text, to the millisecond, in the machine's zone. Lines of the same second share most of it."""

    def __init__(self, zone: Callable[[time.struct_time], str]) -> None:
        self._zone = zone
        self._last: tuple[int, str, str] = (-1, "", "")

    def text(self, created: float) -> str:
        """CREATED is in seconds since 1970."""
        second = int(created)
        last, before, after = self._last
        if second != last:
            moment = time.localtime(second)
            before, after = time.strftime("%Y-%m-%dT%H:%M:%S", moment), self._zone(moment)
            self._last = (second, before, after)
        return f"{before}.{int((created - second) * 1000):03}{after}"


def _zone(moment: time.struct_time) -> str:
    return time.strftime("%z", moment)


def _zone_with_colon(moment: time.struct_time) -> str:
    """The zone as RFC 3339 has it, such as ``+07:00``."""
    zone = _zone(moment)
    return f"{zone[:3]}:{zone[3:]}"


class HumanFormatter(logging.Formatter):
    """``2026-11-28T19:12:34.123+0000 INFO scfm.work: … (request …)``, and below it the trace of an exception."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = _Seconds(_zone)

    def usesTime(self) -> bool:  # noqa: N802 (logging's name)
        return False  # ``formatMessage`` does it

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        message = _one_line(redacted(record.message))
        line = f"{self._seconds.text(record.created)} {record.levelname} {record.name}: {message}"
        request = _request_of(record)
        return line if request is None else f"{line} (request {request})"

    def format_request(self, answered: AnsweredRequest) -> str:
        moment, level = self._seconds.text(answered.created), logging.getLevelName(answered.level)
        return f"{moment} {level} {answered.logger}: {answered.message} (request {answered.request_id})"

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        return redacted(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 (logging's name)
        return redacted(stack_info)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, ``request_id``, then the line's fields.

    ``exception`` is the trace of one. A field never takes the place of one of those.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seconds = _Seconds(_zone_with_colon)

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": self._seconds.text(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
            "request_id": _request_of(record),
        }
        if record.exc_info:
            said["exception"] = redacted(self.formatException(record.exc_info))
        if record.stack_info:
            said["stack"] = redacted(record.stack_info)
        for name, value in record.__dict__.get(_FIELDS, {}).items():
            said.setdefault(name, redacted(value) if isinstance(value, str) else value)
        try:
            return orjson.dumps(said).decode()
        except TypeError:  # half a character, a number of more than 64 bits, or what is no JSON
            return json.dumps(said, default=str)

    def format_request(self, answered: AnsweredRequest) -> str:
        said = {
            "time": self._seconds.text(answered.created),
            "level": logging.getLevelName(answered.level),
            "logger": answered.logger,
            "message": answered.message,
            "request_id": answered.request_id,
        }
        return orjson.dumps(said | answered.fields).decode()


def _one_line(text: str) -> str:
    """TEXT, which may come from anybody, without line breaks or what moves a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


LOG_FORMATTERS: dict[str, Callable[[], HumanFormatter | JsonFormatter]] = {
    "human": HumanFormatter,
    "json": JsonFormatter,
}
"""The formatters by the words of LOG_FORMAT."""

"""What a request that failed means: which of the errors it is, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from twilio.base.version import Version  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]

from scfm import clock
from scfm.providers.errors import AccountRefused, CallRejected, NotSent, ProviderError, Unknown
from scfm.providers.refusals import REFUSAL_BY_CODE
from scfm.runtime.http_times import retry_after_seconds

# RFC 9110, 15.4: the resource is elsewhere, and nothing was done here. Of other redirects that is not sure.
MOVED_STATUSES = frozenset({301, 307, 308})
# The account is refused, unless Twilio's code of the error (https://www.twilio.com/docs/api/errors) is of those that
# are about a call: a number, or a country that the account may not call.
ACCOUNT_STATUSES, CALL_ERROR_CODES = frozenset({401, 403}), (*range(21000, 22000), *REFUSAL_BY_CODE)
# The most seconds that an answer may ask to wait.
MAX_RETRY_AFTER = 3600.0


@contextmanager
def translate_failures(failure: str) -> Iterator[None]:
    """Raises NotSent or Unknown for a request without an answer, by whether it can have been sent.

    aiohttp raises the first kind before it writes a byte: there was no connection (name, TCP or TLS).
    """
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSent(f"{failure}: {str(error) or type(error).__name__}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
        raise Unknown(f"{failure}: {str(error) or type(error).__name__}") from error


def answer_error(response: Response, method: str, path: str, failure: str) -> ProviderError:
    """The error that an answer with a status other than 2xx stands for."""
    status = response.status_code
    error = Version.exception(method, path, response, failure)
    message, code = _message(error, status, failure), _code(error, status)
    if status == 429:
        asked = response.headers.get("Retry-After")
        return NotSent(message, retry_after_seconds(asked, clock.now(), MAX_RETRY_AFTER))
    if status in MOVED_STATUSES:
        return CallRejected(f"{message}, moved to {response.headers.get('Location')}")
    if status in ACCOUNT_STATUSES and code not in CALL_ERROR_CODES:
        return AccountRefused(message, code)
    if 400 <= status < 500 and status != 408:
        return CallRejected(message, code)
    return Unknown(message)


def _message(error: Any, status: int, failure: str) -> str:
    """The provider's words, from Twilio's JSON or RFC 9457's; else the HTTP status."""
    message = str(error.msg) if hasattr(error, "msg") else f"{failure}: {error.detail or error.title}"
    return f"{failure}: HTTP {status}" if message == failure else message


def _code(error: Any, status: int) -> int | None:
    """The provider's code of the error, None without one: then the library gives the HTTP status."""
    code = str(error.code)
    return int(code) if code.isascii() and code.isdigit() and len(code) < 10 and int(code) != status else None

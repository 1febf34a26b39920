"""What the driver raises, as what the rest of the program knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from scfm.errors import ScfmError, StartError, Unreachable

# Errors of a server that stops, or hands over to another:
# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml: HostUnreachable, HostNotFound,
# CursorNotFound, WriteConcernFailed, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit,
# SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange,
# NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
TRANSIENT_CODES = frozenset({6, 7, 43, 64, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
DUPLICATE = 11000
ILLEGAL_OPERATION = 20
# Characters of an error of the driver: a line in the log.
MAX_DRIVER_REASON = 200


class DuplicateKey(ScfmError):
    """A unique index refused the document. ``index`` is the index's name."""

    def __init__(self, index: str) -> None:
        super().__init__(f"duplicate key: {index}")
        self.index = index


@contextmanager
def map_startup_errors() -> Iterator[None]:
    """Turn what the driver raises where the database does not let us in into StartError."""
    try:
        yield
    except (OperationFailure, ConfigurationError) as error:
        raise StartError(f"the database at MONGODB_URI cannot be used: {error}") from None


@contextmanager
def map_driver_errors() -> Iterator[None]:
    """Turn what the driver raises into DuplicateKey and Unreachable, where it means that."""
    try:
        yield
    except DuplicateKeyError as error:
        raise DuplicateKey(index_of(error.details or {})) from None
    except (ConnectionFailure, NotPrimaryError, ExecutionTimeout, WriteConcernError) as error:
        raise Unreachable(reason(error)) from error
    except PyMongoError as error:
        if _is_retry_on_standalone(error):
            raise Unreachable("no connection could be made") from error
        if error.timeout or _is_transient(error):
            raise Unreachable(reason(error)) from error
        raise


def reason(error: PyMongoError) -> str:
    """What of the driver's words helps the reader: which server, and what is wrong with it."""
    words, _, _ = str(error).partition(", Timeout:")
    words, _, _ = words.partition(", full error:")
    words = re.sub(r" \(configured timeouts:[^)]*\)", "", words)
    return " ".join(words.split())[:MAX_DRIVER_REASON]


def _details(error: PyMongoError) -> Mapping[str, Any]:
    """The database's answer, where the error is one."""
    return (error.details or {}) if isinstance(error, OperationFailure) else {}


def _is_transient(error: PyMongoError) -> bool:
    """Whether the error comes of a server that stops, or hands over to another, and not of what was asked."""
    details = _details(error)
    parts = [details, *details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return error.has_error_label("RetryableWriteError") or any(part.get("code") in TRANSIENT_CODES for part in parts)


def _is_retry_on_standalone(error: PyMongoError) -> bool:
    """Whether the driver had no connection for a write, and a standalone server has refused its second try.

    PyMongo 4.20 makes that one as if the server were of a replica set. Nothing has been written.
    """
    details = _details(error)
    return details.get("code") == ILLEGAL_OPERATION and "Transaction numbers" in str(details.get("errmsg"))


def index_of(details: Mapping[str, Any]) -> str:
    """The name of the unique index in the details of a write error, which has it in its message alone."""
    message = str(details.get("errmsg", ""))
    return message.partition("index: ")[2].partition(" dup key")[0] or "unknown"

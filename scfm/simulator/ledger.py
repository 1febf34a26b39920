"""What the carrier was asked and what became of it: in memory, and in a JSON-lines file if one is wanted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from scfm.clock import iso
from scfm.errors import StartError
from scfm.simulator.call import Call


@dataclass(slots=True, eq=False)
class CreateRequest:
    """One create request: the ``sid`` of its call, the ``code`` of its refusal, the ``fault`` it met."""

    number: int
    to: str
    from_: str
    fault: str | None
    at: float = field(default_factory=time.time)
    sid: str | None = None
    code: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The request, as the ledger shows it."""
        return {
            "number": self.number,
            "at": _iso(self.at),
            "to": self.to,
            "from": self.from_,
            "accepted": self.sid is not None,
            "sid": self.sid,
            "code": self.code,
            "fault": self.fault,
        }


class Ledger:
    """The requests, in the order they came, and a file that also gets the callbacks and the outcomes."""

    def __init__(self, path: Path | None = None) -> None:
        self.requests: list[CreateRequest] = []
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Open the file to append to. Raises StartError."""
        if self._path is None:
            return
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise StartError(f"the simulator's ledger cannot be written: {error}") from error

    def close(self) -> None:
        """Close the file. What is in memory stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add_request(self, create_request: CreateRequest) -> None:
        """A create request came, and this is what became of it."""
        self.requests.append(create_request)
        self._write("request", create_request.as_json)

    def add_callback(self, call: Call, parameters: Mapping[str, str], answer: str, seconds: float) -> None:
        """A status callback was due, and so long afterwards this was the answer: a status, or what went wrong."""
        self._write(
            "callback",
            lambda: {
                "sid": call.sid,
                "answer": answer,
                "seconds": round(seconds, 3),
                "parameters": dict(parameters),
            },
        )

    def add_outcome(self, call: Call) -> None:
        """A call has ended."""
        self._write("outcome", lambda: call_summary(call))

    def accepted_by_number(self) -> Counter[str]:
        """How many calls were accepted to each number."""
        return Counter(request.to for request in self.requests if request.sid is not None)

    def _write(self, kind: str, entry: Callable[[], dict[str, Any]]) -> None:
        if self._file is not None:
            self._file.write(orjson.dumps({"kind": kind, **entry()}) + b"\n")


def call_summary(call: Call) -> dict[str, Any]:
    """A call, in a line."""
    return {
        "sid": call.sid,
        "to": call.to,
        "from": call.from_,
        "direction": call.direction,
        "status": call.status,
        "created_at": _iso(call.created),
        "ended_at": None if call.ended is None else _iso(call.ended),
        "duration": call.duration,
        "callbacks": call.callbacks,
    }


def _iso(moment: float) -> str | None:
    return iso(datetime.fromtimestamp(moment, UTC))

"""A call, as the carrier keeps it and shows it, and the register of all of them."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from scfm.simulator.call_options import CallOptions, Form
from scfm.simulator.transcript import Transcript

API = "/2010-04-01"
ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_SUBRESOURCES = ("events", "notifications", "payments", "recordings", "siprec", "streams", "transcriptions")


def new_sid(prefix: str) -> str:
    """A new id, like Twilio's: two letters and 32 hex digits. Random, so a restart never repeats one."""
    return prefix + secrets.token_hex(16)


def rfc2822(moment: float | None) -> str | None:
    """``Fri, 18 Oct 2019 17:00:00 +0000``, or None for None. ``moment``: seconds since 1970."""
    return None if moment is None else _in_words(int(moment))


@lru_cache(maxsize=64)
def _in_words(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


@dataclass(slots=True, eq=False)
class Call:
    """One call. Times are seconds since 1970; ``seconds`` is how long the talk has lasted, life size."""

    account_sid: str
    token: str
    to: str
    from_: str
    options: CallOptions
    request: int
    direction: str = "outbound-api"
    status: str = "queued"
    attempt: int = 1
    # What answered, where that was to be found out: ``human``, ``machine_start`` or ``machine_end_beep``.
    answered_by: str | None = None
    sip: int | None = None
    sid: str = field(default_factory=lambda: new_sid("CA"))
    created: float = field(default_factory=time.time)
    updated: float = 0.0
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0
    duration: int | None = None
    callbacks: int = 0
    held_callback: dict[str, str] | None = None
    transcript: Transcript | None = None
    task: asyncio.Task[None] | None = None
    first_webhook: asyncio.Event | None = None

    def set_status(self, status: str) -> None:
        """Take on the next status of a call that goes on."""
        self.status, self.updated = status, time.time()
        self.started = self.started or self.updated

    def end(self, status: str) -> None:
        """Take on the last status, and let go of what only a living call needs."""
        self.set_status(status)
        self.ended = self.updated
        self.duration = math.ceil(self.seconds)
        self.transcript = None
        self.webhook_delivered()

    def webhook_delivered(self) -> None:
        """Let an answer go that waits for the first webhook."""
        if self.first_webhook is not None:
            self.first_webhook.set()

    def parameters(self) -> dict[str, str]:
        """What Twilio sends with every request about a call."""
        parameters = {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.sid,
            "CallStatus": self.status,
            "Called": self.to,
            "Caller": self.from_,
            "Direction": self.direction,
            "From": self.from_,
            "To": self.to,
        }
        if self.answered_by is not None:
            parameters["AnsweredBy"] = self.answered_by
        return parameters

    def as_json(self) -> dict[str, Any]:
        """The Call resource of Twilio's REST API, whole."""
        uri = f"{API}/Accounts/{self.account_sid}/Calls/{self.sid}"
        return {
            "account_sid": self.account_sid,
            "annotation": None,
            "answered_by": self.answered_by,
            "api_version": "2010-04-01",
            "caller_name": None,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.updated or self.created),
            "direction": self.direction,
            "duration": None if self.duration is None else str(self.duration),
            "end_time": rfc2822(self.ended),
            "forwarded_from": None,
            "from": self.from_,
            "from_formatted": formatted_msisdn(self.from_),
            "group_sid": None,
            "parent_call_sid": None,
            "phone_number_sid": None,
            "price": None,
            "price_unit": "USD",
            "queue_time": "0",
            "sid": self.sid,
            "start_time": rfc2822(self.started),
            "status": self.status,
            "subresource_uris": {
                **{name: f"{uri}/{name.capitalize()}.json" for name in _SUBRESOURCES},
                "user_defined_message_subscriptions": f"{uri}/UserDefinedMessageSubscriptions.json",
                "user_defined_messages": f"{uri}/UserDefinedMessages.json",
            },
            "to": self.to,
            "to_formatted": formatted_msisdn(self.to),
            "trunk_sid": None,
            "uri": f"{uri}.json",
        }


def formatted_msisdn(msisdn: str) -> str:
    """``(555) 123-4567`` for a number of the USA; others stay as they are."""
    if len(msisdn) == 12 and msisdn.startswith("+1"):
        return f"({msisdn[2:5]}) {msisdn[5:8]}-{msisdn[8:]}"
    return msisdn


class Calls:
    """Every call that is known, found by id and by the number called."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Call] = {}
        self._by_msisdn: dict[str, list[Call]] = {}

    def __iter__(self) -> Iterator[Call]:
        return iter(self._by_sid.values())

    def add(self, call: Call) -> None:
        """Keep a new call."""
        self._by_sid[call.sid] = call
        self._by_msisdn.setdefault(call.to, []).append(call)

    def next_attempt(self, msisdn: str) -> int:
        """Which call to the number the next one is, from 1."""
        calls = self._by_msisdn.get(msisdn)
        return calls[-1].attempt + 1 if calls else 1

    def find(self, account_sid: str, sid: str) -> Call | None:
        """The account's call with that id, or None."""
        call = self._by_sid.get(sid)
        return call if call is not None and call.account_sid == account_sid else None

    def select(self, account_sid: str, query: Form) -> list[Call]:
        """The account's calls that match Twilio's list parameters, newest first.

        A call that was not dialled yet has no start time, so no StartTime filter finds it.
        """
        calls = self._by_msisdn.get(query["To"], []) if "To" in query else list(self._by_sid.values())
        return [call for call in reversed(calls) if call.account_sid == account_sid and _matches(call, query)]


def _matches(call: Call, query: Form) -> bool:
    return (
        ("From" not in query or call.from_ == query["From"])
        and ("Status" not in query or call.status == query["Status"])
        and _within(call.started, query, "StartTime")
        and _within(call.ended, query, "EndTime")
    )


def _within(moment: float | None, query: Form, name: str) -> bool:
    """Whether the time is on (``=``), on or after (``>=``), on or before (``<=``) what the query says."""
    bounds = [(sign, *_span(query[name + sign])) for sign in ("", ">", "<") if name + sign in query]
    if not bounds:
        return True
    if moment is None:
        return False
    return all((sign == "<" or first <= moment) and (sign == ">" or moment < last) for sign, first, last in bounds)


def _span(text: str) -> tuple[float, float]:
    """From when to when a date, or a second, lasts; a text that is neither is all of time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return (-math.inf, math.inf)
    first = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return (first, first + (86400 if len(text) == len("2019-10-18") else 1))

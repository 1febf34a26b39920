"""A call as lines of a journal, and the call made of them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from scfm.simulator.call import ENDED, Call
from scfm.simulator.call_options import CallOptions

Entry = dict[str, Any]

_SHAPES: dict[str, Callable[[Any], bool]] = {
    **{name: lambda value: isinstance(value, str) for name in ("account_sid", "to", "from", "direction", "status")},
    "attempt": lambda value: type(value) is int,
    "created": lambda value: isinstance(value, float),
}
# What of a call serves only to end it and to tell of its end.
_UNFINISHED_FIELDS = ("token", "request", "status_callback", "options", "callbacks", "told")
_NO_OPTIONS = CallOptions()
_OPTIONS = frozenset(field.name for field in fields(CallOptions))


def created_entry(call: Call) -> Entry:
    """What of a new call has to be known after a restart."""
    options = call.options
    entry: Entry = {
        "sid": call.sid,
        "account_sid": call.account_sid,
        "token": call.token,
        "to": call.to,
        "from": call.from_,
        "direction": call.direction,
        "request": call.request,
        "attempt": call.attempt,
        "created": call.created,
        "status": call.status,
    }
    if options.status_callback:
        entry["status_callback"] = options.status_callback
    changed = {name: value for name, value in asdict(options).items() if value != getattr(_NO_OPTIONS, name)}
    if "events" in changed:
        changed["events"] = sorted(changed["events"])
    return {**entry, "options": changed}


def ended_entry(call: Call) -> Entry:
    """What the end of a call adds."""
    return {
        "sid": call.sid,
        "status": call.status,
        "started": call.started,
        "ended": call.ended,
        "duration": call.duration,
        "callbacks": call.callbacks,
        "answered_by": call.answered_by,
        "sip": call.sip,
    }


def is_complete(entry: Entry) -> bool:
    """Whether the line that made the call is there; it may be in a file that is gone."""
    return all(name in entry and right(entry[name]) for name, right in _SHAPES.items())


def is_finished(entry: Entry) -> bool:
    """Whether the call has ended, and whoever wanted to be told of that has been."""
    return entry["status"] in ENDED and ("status_callback" not in entry or "told" in entry)


def compacted(entry: Entry) -> Entry:
    """What of an entry is still of use: of a call that is over, what is shown of it."""
    if not is_finished(entry):
        return entry
    return {name: value for name, value in entry.items() if name not in _UNFINISHED_FIELDS}


def restored_call(entry: Entry) -> Call:
    """The call of an entry, with what a client asked of it if that has yet to be done."""
    options = _options(entry)
    call = Call(
        entry["account_sid"],
        entry.get("token", ""),
        entry["to"],
        entry["from"],
        options,
        entry.get("request", 0),
        entry["direction"],
        entry["status"],
        attempt=entry["attempt"],
        answered_by=entry.get("answered_by"),
        sip=entry.get("sip"),
        sid=entry["sid"],
        created=entry["created"],
        started=entry.get("started"),
        ended=entry.get("ended"),
        duration=entry.get("duration"),
        # The next callback has a number that none before it had: they were sent, or are lost.
        callbacks=entry.get("callbacks", len(options.events - {"completed"})),
    )
    call.updated = call.ended or call.started or call.created
    return call


def _options(entry: Entry) -> CallOptions:
    """What a client asked of a call that goes on; of one that is over, nothing."""
    given = entry.get("options")
    if not isinstance(given, dict):
        # As an older version wrote it: enough to tell of the end.
        return CallOptions(
            status_callback=entry.get("status_callback", ""),
            status_callback_method=entry.get("status_callback_method", "POST"),
            events=frozenset(entry.get("events", ())),
        )
    known = {name: value for name, value in given.items() if name in _OPTIONS}
    if "events" in known:
        known["events"] = frozenset(known["events"])
    return CallOptions(**known)

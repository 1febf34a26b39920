"""A call as lines of a journal, and the call made of them again."""

from __future__ import annotations

from collections.abc import Callable
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
_UNFINISHED_FIELDS = ("token", "request", "status_callback", "status_callback_method", "events", "callbacks", "told")


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
        entry |= {
            "status_callback": options.status_callback,
            "status_callback_method": options.status_callback_method,
            "events": sorted(options.events),
        }
    return entry


def ended_entry(call: Call) -> Entry:
    """What the end of a call adds."""
    return {
        "sid": call.sid,
        "status": call.status,
        "started": call.started,
        "ended": call.ended,
        "duration": call.duration,
        "callbacks": call.callbacks,
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
    """The call of an entry, with whom to tell of its end if that has yet to be done."""
    events = frozenset(entry.get("events", ()))
    callback, method = entry.get("status_callback", ""), entry.get("status_callback_method", "POST")
    call = Call(
        entry["account_sid"],
        entry.get("token", ""),
        entry["to"],
        entry["from"],
        CallOptions(status_callback=callback, status_callback_method=method, events=events),
        entry.get("request", 0),
        entry["direction"],
        entry["status"],
        attempt=entry["attempt"],
        sid=entry["sid"],
        created=entry["created"],
        started=entry.get("started"),
        ended=entry.get("ended"),
        duration=entry.get("duration"),
        # The last callback has the number that it would have had: those before it were sent, or are lost.
        callbacks=entry.get("callbacks", len(events - {"completed"})),
    )
    call.updated = call.ended or call.started or call.created
    return call

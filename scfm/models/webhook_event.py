"""Events that webhook endpoints are told of.

An event is kept in the document that it is about, in the field ``_to_tell``, by the very write that makes it happen.
Workers (``tell_endpoints``) make a delivery of it for each endpoint of the account that wants it, and remove it. So
nothing is lost between the two, and what is done twice has the same id.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypedDict

from scfm.storage.index import Index
from scfm.storage.query import Document

CALLOUT_STARTED, CALLOUT_PAUSED = "callout.started", "callout.paused"
CALLOUT_STOPPED, CALLOUT_COMPLETED = "callout.stopped", "callout.completed"
PARTICIPATION_SETTLED: Final = "participation.settled"
OPT_OUT_CREATED: Final = "opt_out.created"
ACCOUNT_HELD: Final = "account.held"
AUDIO_FILE_RECORDED: Final = "audio_file.recorded"
EVENT_TYPES: Final = (
    CALLOUT_STARTED,
    CALLOUT_PAUSED,
    CALLOUT_STOPPED,
    CALLOUT_COMPLETED,
    PARTICIPATION_SETTLED,
    OPT_OUT_CREATED,
    ACCOUNT_HELD,
    AUDIO_FILE_RECORDED,
)

# The field of a document with its events that are not told yet, and when the oldest of them happened.
TO_TELL: Final = "_to_tell"
TO_TELL_AT: Final = "_to_tell.at"
TO_TELL_INDEX: Final = Index(TO_TELL_AT, name="to_tell", only={TO_TELL_AT: {"$exists": True}})


class UntoldEvent(TypedDict):
    """An event that is not told yet. ``id`` becomes the header ``webhook-id``.

    ``shown``: by field, what the event is about, as it was just then; the document may have changed since.
    """

    id: str
    type: str
    at: datetime
    shown: dict[str, Any]


def new_event(event_type: str, moment: datetime, shown: Mapping[str, Any] | None = None) -> UntoldEvent:
    """An event of a type in EVENT_TYPES that happens at MOMENT."""
    return {"id": f"evt_{secrets.token_hex(16)}", "type": event_type, "at": moment, "shown": dict(shown or {})}


def telling(event_type: str, moment: datetime, shown: Mapping[str, Any] | None = None) -> Document:
    """What is added to MongoDB's update that makes an event happen, so that it is told: ``{"$push": ...}``."""
    return {"$push": {TO_TELL: new_event(event_type, moment, shown)}}


def told_at_first(event_type: str, moment: datetime) -> Document:
    """By its field, what a new document has so that it is told that it is there."""
    return {TO_TELL: [new_event(event_type, moment)]}

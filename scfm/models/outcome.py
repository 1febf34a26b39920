"""What is kept for the outcome of a person in a callout: replies, attempts, and the marks that lead to it.

A call and its participation are two documents, and nothing changes both in one write. So whatever may change an
outcome is to leave a mark in the same write: on the call, or on the participation. Replies do so; nothing works the
marks off yet.
"""

from __future__ import annotations

import secrets
from typing import Final

from scfm.clock import now
from scfm.storage.index import Index
from scfm.storage.query import Document

# On a participation or a phone call: something has happened that is not worked into the outcome yet.
MARK: Final = "_settle"
MARKED: Final[Document] = {MARK: {"$exists": True}}
MARK_INDEX: Final = Index(MARK, name="unsettled", only=MARKED)
# From when on the next attempt of a participation may be made; the ordinal of a call among those of its plan, and of
# the open or next call of a participation.
ATTEMPT_DUE, ATTEMPT_NUMBER = "_due", "_attempt"
# On a participation: when the person first acknowledged, and opted out, in a call.
ACKNOWLEDGED_AT, OPTED_OUT_AT = "_acknowledged", "_opted_out"

_CHANCE_BITS = 21


def new_mark() -> int:
    """A mark that no other write leaves on the same document. Marks grow with time: the oldest come first."""
    return int(now().timestamp() * 1000) << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS)

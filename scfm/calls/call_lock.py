"""The webhooks of one call are handled one after the other in this process; those of others do not wait for them."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from scfm.errors import Unavailable
from scfm.runtime.timed_lock import TimedLock

# A webhook that waits longer is refused, to be sent again: the provider waits 15 seconds for our answer.
MAX_CALL_WAIT_SECONDS = 12.0
STILL_HANDLED = "an earlier webhook of the call is still being handled"

_LOCKS: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def call_lock(sid: str) -> TimedLock:
    """Within it no other webhook of the call with the provider's id SID is handled here. Raises Unavailable."""
    return TimedLock(
        _LOCKS.setdefault(sid, asyncio.Lock()), MAX_CALL_WAIT_SECONDS, lambda: Unavailable(STILL_HANDLED)
    )

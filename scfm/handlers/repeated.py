"""What happens again and again, told less and less often: the first time, then the tenth, the hundredth…"""

from __future__ import annotations

import time
from collections import OrderedDict

# So many times as before make the next that is told.
FACTOR = 10
# Of more keys the one that was not seen for longest is forgotten.
MAX_REPEATED = 10_000


class Repeated:
    """Counts by key, from the first time on for some SECONDS."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # By key: how often it has happened, of these how often since it was told, at which it is told, since when.
        self._seen: OrderedDict[object, tuple[int, int, int, float]] = OrderedDict()

    def told(self, key: object) -> int:
        """It has happened once more: how often since it was told last, if it is to be told now, else 0."""
        moment = time.monotonic()
        count, untold, due, since = self._seen.pop(key, (0, 0, 1, moment))
        if moment - since >= self._seconds:
            count, due, since = 0, 1, moment
        count, untold = count + 1, untold + 1
        is_due = count >= due
        self._seen[key] = (count, 0, due * FACTOR, since) if is_due else (count, untold, due, since)
        if len(self._seen) > MAX_REPEATED:
            self._seen.popitem(last=False)
        return untold if is_due else 0

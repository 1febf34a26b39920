"""How many requests each of many clients may make: a quota for each key, which refills at a steady rate.

The generic cell rate algorithm (ITU-T I.371): all that is kept of a key is when its quota will be whole again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scfm.clock import SYSTEM_CLOCK, MonotonicClock

# Keys that are remembered: whoever is not has a whole quota. An attacker has as many addresses as it can pay for.
MAX_QUOTA_KEYS = 20_000
# The rounding errors of sums of times are smaller.
ROUNDING_SECONDS = 1e-6


class QuotaUse(NamedTuple):
    """What became of one request. ``wait``: 0 if it was let in, else the seconds until the next one is.

    ``left``: how many more could come at once.
    """

    wait: float
    left: int


class RequestQuota:
    """RATE requests a second for each key, and as many at once as come in WINDOW seconds; RATE 0 is no limit."""

    def __init__(self, rate: float, window: float, clock: MonotonicClock = SYSTEM_CLOCK) -> None:
        self.rate = rate
        self.window = window
        self.size = max(1, math.floor(rate * window))
        self._interval = 1 / rate if rate else 0.0
        self._clock = clock
        # By key, the monotonic time at which its quota is whole again.
        self._whole_at: dict[object, float] = {}

    def take(self, key: object) -> QuotaUse:
        """Count one request of KEY; one that does not fit is not counted."""
        if not self._interval:
            return QuotaUse(0.0, self.size)
        now = self._clock.monotonic()
        whole_at = max(now, self._whole_at.get(key, now))
        wait = self._wait(whole_at, now)
        if not wait:
            if key not in self._whole_at and len(self._whole_at) >= MAX_QUOTA_KEYS:
                self._make_room(now)
            whole_at += self._interval
            self._whole_at[key] = whole_at
        return QuotaUse(wait, max(0, int(self.size - (whole_at - now) / self._interval + ROUNDING_SECONDS)))

    def wait(self, key: object) -> float:
        """The seconds until a request of KEY would fit, 0 if one does now. Nothing is counted."""
        now = self._clock.monotonic()
        return self._wait(self._whole_at.get(key, now), now)

    def _wait(self, whole_at: float, now: float) -> float:
        wait = whole_at - now - (self.size - 1) * self._interval
        return wait if wait > ROUNDING_SECONDS else 0.0

    def _make_room(self, now: float) -> None:
        """Forget whose quota is whole; if those are few, also those who have been known for longest."""
        kept = [(key, whole_at) for key, whole_at in self._whole_at.items() if whole_at > now]
        self._whole_at = dict(kept[-MAX_QUOTA_KEYS // 2 :])

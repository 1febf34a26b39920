"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

# Its own, so that who relies on the state of the global generator (Hypothesis does) is not disturbed.
_CHANCE = random.Random()
# Far more doublings than any wait has room for, and few enough for a float.
MAX_DOUBLINGS = 60


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff: the wait doubles with each failure in a row.

    ``first`` and ``longest`` are seconds. ``jitter`` is the share of each wait that is drawn by chance, 0 to 1: it
    keeps those who failed at the same time from trying again at the same time.
    """

    first: float
    longest: float
    jitter: float = 0.5

    def seconds(self, failures: int) -> float:
        """The wait after so many FAILURES in a row, of which the first is 1."""
        wait = min(self.longest, self.first * 2.0 ** min(failures - 1, MAX_DOUBLINGS))
        return wait * _CHANCE.uniform(1 - self.jitter, 1)

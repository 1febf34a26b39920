"""Rests between the steps of long work that has time, while others, such as calls, have not."""

from __future__ import annotations

import asyncio
import time

# A rest takes so many times as long as what it follows.
REST_FACTOR = 4


async def rest(began: float, longest: float) -> None:
    """Do nothing for REST_FACTOR times as long as has passed since BEGAN (monotonic), LONGEST seconds at most."""
    await asyncio.sleep(min(REST_FACTOR * (time.monotonic() - began), longest))

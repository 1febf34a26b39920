"""Clocks: the time of day, in UTC to the millisecond, as MongoDB stores it; and elapsed time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import orjson


def now() -> datetime:
    """The time now, aware, UTC, cut to whole milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def later(seconds: float) -> datetime:
    """The time in SECONDS from now."""
    return now() + timedelta(seconds=seconds)


def iso(moment: datetime | None) -> str | None:
    """MOMENT (in UTC) as ``2018-05-19T06:49:24.294Z``, or None for None."""
    if moment is None:
        return None
    # orjson writes a time ten times faster than datetime does, but not its fraction if that is zero.
    written = orjson.dumps(moment, option=orjson.OPT_NAIVE_UTC).decode()
    return f"{written[1:24]}Z" if written[20:21] == "." else f"{written[1:20]}.000Z"


class MonotonicClock:
    """Elapsed time, which no change of the wall clock affects. A test may have its own."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after SECONDS."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = MonotonicClock()

"""Times in the answers of other HTTP services: the dates in them, and for how long they ask to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


def parse_time(value: Any) -> datetime | None:
    """An aware time, from ``Tue, 31 Aug 2010 20:36:28 +0000`` (HTTP, Twilio) or ISO 8601 (Somleng); else None."""
    if not isinstance(value, str):
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(value)
        except (ValueError, OverflowError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def retry_after_seconds(header: str | None, moment: datetime, longest: float) -> float | None:
    """For how many seconds from MOMENT a ``Retry-After`` asks to wait: LONGEST at the most, 0 for a time in the past.

    It is a number of seconds or a date (RFC 9110, 10.2.3). None for anything else.
    """
    if header and header.isascii() and header.isdigit():
        return min(float(header), longest)
    until = parse_time(header)
    return None if until is None else min(max((until - moment).total_seconds(), 0.0), longest)

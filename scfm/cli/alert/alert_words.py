"""What an alert shows, as words: of a preflight, of statistics, of times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from scfm.results.callout_statistics import CalloutStatistics
from scfm.results.people import People


def preflight_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What a plan comes to, a line each: the people, the time, then warnings and blockers."""
    excluded = report["excluded"]
    left_out = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in excluded.items() if count)
    yield f"    people to be called  {report['audience']:,}{f' (left out: {left_out})' if left_out else ''}"
    yield f"    calls at most        {report['calls_at_most']:,}"
    rate = report["calls_per_second"]
    pace = f"{rate:g} calls a second" if rate else "as fast as possible"
    yield f"    pace                 {pace}, limited by {report['limited_by']}"
    yield f"    first call           {local_time(report['first_attempt_at'])}"
    yield f"    ends at the latest   {local_time(report['ends_at'])}"
    for kind in ("warning", "blocker"):
        yield from (f"{kind}: {sentence}" for sentence in report[f"{kind}s"])


def people_words(people: People) -> str:
    """``120 people: 30 calling, 90 reached``."""
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in people_counts(people).items())
    return f"{people['total']:,} people{f': {counts}' if counts else ''}"


def summary_words(callout_id: int, statistics: CalloutStatistics) -> str:
    """How a callout ended, in a sentence, with the reasons."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in statistics["reasons"].items() if count)
    ended = f"completed at {local_time(statistics['completed_at'])}" if statistics["completed_at"] else "over"
    return (
        f"callout {callout_id} is {ended}. {people_words(statistics['people'])}{f' ({reasons})' if reasons else ''}"
    )


def pace_words(statistics: CalloutStatistics) -> str:
    """How it goes on: the calls of the latest minute, what limits them, the provider's health, and the end."""
    words = []
    if statistics["calls_per_minute"]:
        _, placed, answered = statistics["calls_per_minute"][-1]
        words.append(f"{placed:,} calls in the latest minute, {answered:,} answered")
    if statistics["limited_by"]:
        words.append(f"limited by: {statistics['limited_by']}")
    if statistics["health"]["provider"] != "ok":
        words.append(f"provider: {statistics['health']['provider']}")
    if statistics["expected_end_at"]:
        words.append(f"expected end: {local_time(statistics['expected_end_at'])}")
    return "; ".join(words)


def people_counts(people: People) -> dict[str, int]:
    """The outcomes that somebody has."""
    return {outcome: count for outcome, count in people.items() if outcome != "total" and count}


def local_time(moment: str | None) -> str:
    """A time of the API in this machine's zone: ``2026-11-30 07:00:12 +0700``."""
    return "-" if moment is None else f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S %z}"


def shares(counts: Mapping[str, int]) -> dict[str, int]:
    """Each share of all in whole percent, which sum to 100: those with the largest remainders are rounded up."""
    everything = sum(counts.values())
    percent = {name: 100 * count // everything for name, count in counts.items()}
    by_remainder = sorted(counts, key=lambda name: -(100 * counts[name] % everything))
    for name in by_remainder[: 100 - sum(percent.values())]:
        percent[name] += 1
    return percent

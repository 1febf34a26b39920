"""Counts the calls that have ended by a write of this process: ``scfm_calls_total``.

Every transition that ends a call sets a final status under a condition that no ended call fits: so one process
carries it out, and that one counts it. The storage sees what is written (``write_watch``), so that no transition and
no job has to remember to count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from scfm.errors import NotFound
from scfm.models.call_lifecycle import FINAL
from scfm.models.call_work import ENDED_AT, WORK
from scfm.runtime import metrics
from scfm.storage.query import Document


def outcome_of(update: Document) -> str | None:
    """The status with which an update ends a call; None for one that ends none.

    A later report may correct how a call ended: that is no second end.
    """
    change = update.get("$set", {})
    status = change.get("status")
    ends = status in FINAL and (ENDED_AT in change or WORK in update.get("$unset", ()))
    return str(status) if ends else None


class EndedCalls:
    """A WriteWatcher of phone calls. What is counted waits here until somebody asks, when providers are looked up."""

    fields: tuple[str, ...] = ("status", "updated_at")

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()

    def notable(self, update: Document) -> bool:
        return outcome_of(update) is not None

    def written(self, account_id: int | None, update: Document, count: int) -> None:
        if (outcome := outcome_of(update)) is not None and account_id is not None:
            self._counts[account_id, outcome] += count

    async def count(self, provider_of: Callable[[int], Awaitable[str]]) -> None:
        """Add what has ended to the metric. PROVIDER_OF gives the provider of an account; what it raises is raised.

        What is raised leaves the rest for the next time.
        """
        for key in list(self._counts):
            account_id, outcome = key
            try:
                provider = await provider_of(account_id)
            except NotFound:  # the account is gone
                provider = metrics.OTHER
            metrics.CALLS_ENDED.labels(outcome, provider).inc(self._counts.pop(key, 0))

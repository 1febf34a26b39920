"""What keeps a callout from calling faster than it does."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from scfm.models.outcome import OPEN_OUTCOMES, Outcome
from scfm.models.plan import Plan
from scfm.models.stored_documents import CalloutDocument
from scfm.results.people import people_in
from scfm.storage.block_tallies import Tallied

# By what the provider does, if that is not ``ok``.
BY_PROVIDER: Final = {"failing": "the provider does not answer", "refusing": "the provider refuses the account"}


def limited_by(callout: CalloutDocument, tallied: Tallied, provider: str, moment: datetime, pace: str) -> str | None:
    """What a callout waits for at MOMENT, in words; None for one that does not run, or that has nobody left.

    PROVIDER: see ``Health``. PACE: the limit of calls that holds where nothing else does.
    """
    people = people_in(tallied)
    left = {outcome for outcome in OPEN_OUTCOMES if people[outcome]}
    if callout["status"] != "running" or not left:
        return None
    if provider != "ok":
        return BY_PROVIDER.get(provider, "calls are held")
    plan = Plan.of(callout)
    if plan is not None and Outcome.CALLING not in left:
        if plan.starts_at is not None and moment < plan.starts_at:
            return "starts_at of the plan"
        if not plan.may_leave(moment):
            return "window of the plan"
        if left == {Outcome.WAITING}:
            return "retry of the plan"
    return pace

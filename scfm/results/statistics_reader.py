"""Reads statistics: of a callout, of groups of its people, and of an account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime

from scfm.clock import iso, now
from scfm.errors import Invalid
from scfm.models.account import ACCOUNTS
from scfm.models.paths import KeyPath
from scfm.models.plan import Plan
from scfm.models.plan_pace import Pace
from scfm.models.stored_documents import CALLOUT_COLLECTION, EVENT_COLLECTION
from scfm.results.account_statistics import (
    ACCOUNT_TALLY,
    PEOPLE_OF_ACCOUNT,
    AccountStatistics,
    DayRange,
    account_statistics_of,
)
from scfm.results.callout_statistics import CALLOUT_TALLY, CalloutStatistics, Health, statistics_of
from scfm.results.group_statistics import TOO_MANY_GROUPS, GroupStatistics, group_tally, groups_of
from scfm.results.people import people_by_outcome, people_query
from scfm.results.provider_state import ProviderState
from scfm.storage.block_tallies import TooManyKeys
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# A request for groups gets those of the same moment, if it takes no more looks than these.
MAX_LOOKS = 3


class GroupedStatistics(CalloutStatistics):
    """The statistics of a callout, and of its people by a value of their contacts."""

    groups: list[GroupStatistics]


class StatisticsReader:
    """Every method raises NotFound, and Unavailable."""

    def __init__(
        self,
        pace: Callable[[Document, Plan | None], Pace],
        provider_state: Callable[[int], ProviderState],
        are_held: Callable[[int], Awaitable[bool]],
    ) -> None:
        """``pace``: how fast calls of an account may leave, with a plan or without one.

        By an account's id, ``provider_state`` is that of its provider, and ``are_held`` whether its calls are held.
        """
        self._pace, self._provider_state, self._are_held = pace, provider_state, are_held

    async def of_callout(self, view: TenantView, callout_id: int) -> CalloutStatistics:
        """The statistics of a callout, as they are now."""
        # First the callout: whom it says to be settled the people are, too.
        callout = await view.get(CALLOUT_COLLECTION, callout_id)
        account_id = callout["account_id"]
        tallied, account, webhook_last_at, held = await asyncio.gather(
            view.list_of(people_query(callout_id)).tallied(CALLOUT_TALLY),
            view.get(ACCOUNTS.collection, account_id),
            _webhook_last_at(view),
            self._are_held(account_id),
        )
        provider = self._provider_state(account_id)
        health: Health = {
            "provider": "held" if held else provider.state,
            # It has answered at the last attempt, whichever process has asked it.
            "provider_last_at": iso(max(filter(None, (provider.answered_at, tallied.last)), default=None)),
            "webhook_last_at": iso(webhook_last_at),
        }
        return statistics_of(callout, tallied, now(), self._pace(account, Plan.of(callout)), health)

    async def by_group(self, view: TenantView, callout_id: int, path: KeyPath) -> GroupedStatistics:
        """The same, with the people by the value at PATH in their contacts' metadata; raises Invalid for too many.

        The people of all groups together are ``people``.
        """
        people = view.list_of(people_query(callout_id))
        for _ in range(MAX_LOOKS):
            statistics = await self.of_callout(view, callout_id)
            try:
                groups = groups_of(await people.tallied(group_tally(path)))
            except TooManyKeys:
                raise Invalid({"group_by": [TOO_MANY_GROUPS]}) from None
            together = sum((Counter(group["people"]) for group in groups), Counter[str]())
            if people_by_outcome(together) == statistics["people"]:
                break
        return {**statistics, "people": people_by_outcome(together), "groups": groups}

    async def of_account(self, view: TenantView, days: DayRange) -> AccountStatistics:
        """The statistics of the view's account on some days."""
        return account_statistics_of(await view.list_of(PEOPLE_OF_ACCOUNT).tallied(ACCOUNT_TALLY), days)


async def _webhook_last_at(view: TenantView) -> datetime | None:
    """When the last webhook of the view's account came."""
    newest = await view.find(EVENT_COLLECTION, {}, fields=["created_at"], sort=[("_id", -1)], limit=1)
    return newest[0]["created_at"] if newest else None

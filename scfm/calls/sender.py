"""Whose webhook it is: what its signature proves, not what is written in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Owner:
    """The account whose an inbound call is, and its ``default_country``."""

    account_id: int
    country: str | None = None


@dataclass(frozen=True)
class Sender:
    """Those in whose name a webhook speaks: all whose AccountSid it carries and whose auth token has signed it.

    ``accounts``: ids of the accounts whose own AccountSid and auth token signed it. ``server``: whether the server's
    auth token signed it, which every account shares that has no credentials of its own. ``former``: by the id of an
    account whose replaced auth token signed it, when that was replaced. ``owner``: the account that gets a new
    inbound call; None where only former credentials signed. ``calls_with``: whether an account, by its id, calls with
    this AccountSid now.
    """

    accounts: frozenset[int]
    server: bool
    former: Mapping[int, datetime]
    owner: Owner | None
    calls_with: Callable[[int], Awaitable[bool]] = field(compare=False)

    @property
    def only_account(self) -> int | None:
        """The one account that this can be about, if there is but one."""
        alone = not self.server and not self.former and len(self.accounts) == 1
        return next(iter(self.accounts)) if alone else None

    def may_report(self, call: Mapping[str, Any]) -> bool:
        """Whether it may speak of a phone call that it names by the provider's id."""
        if self.server or call["account_id"] in self.accounts:
            return True
        replaced_at = self.former.get(call["account_id"])
        return replaced_at is not None and bool(call["created_at"] < replaced_at)

    async def may_place(self, call: Mapping[str, Any]) -> bool:
        """Whether a phone call may have been placed with these credentials, as far as its account tells."""
        if not self.may_report(call):
            return False
        return not self.server or call["account_id"] in self.accounts or await self.calls_with(call["account_id"])

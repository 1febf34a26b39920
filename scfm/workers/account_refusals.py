"""Accounts that the provider refuses although it took calls of them before: that is not their calls' fault.

Their calls wait, as in an outage: single ones try, less and less often, and at once when the credentials change.
"""

from __future__ import annotations

from scfm.clock import now
from scfm.models.query import Document
from scfm.models.store import Store
from scfm.provider import AccountRefused, Credentials
from scfm.workers.calls import CALLS, Accounts
from scfm.workers.pace import Pace

WAITS = " (the provider refuses the account; its calls wait until its credentials are good again)"
# What has become of a call that the provider has taken.
TAKEN = [
    "remotely_queued",
    "remote_fetch_queued",
    "in_progress",
    "completed",
    "busy",
    "not_answered",
    "failed",
    "canceled",
]


class AccountRefusals:
    """Decides whether a call that was refused for its account waits. PACE holds such an account's calls back."""

    def __init__(self, store: Store, accounts: Accounts, pace: Pace) -> None:
        self._everyone = store.everyone
        self._accounts = accounts
        self._pace = pace
        # The accounts whose calls wait, and the credentials that were refused.
        self._refused: dict[int, Credentials] = {}
        self._have_called: set[int] = set()

    async def waiting(self, account_id: int, credentials: Credentials, error: AccountRefused) -> Document | None:
        """What changes of a call that waits because its account was refused with CREDENTIALS; None if it does not.

        Raises Unavailable.
        """
        if await self._accounts.fresh_credentials(account_id) != credentials:
            return {}  # they were old ones
        if error.missing or not await self._has_called(account_id):
            return None
        self._pace.refused(account_id, error.message)
        change = {"remote_error_message": error.message + WAITS}
        if account_id not in self._refused:
            self._refused[account_id] = credentials
            await self._tell(account_id, change)
        return change

    async def _tell(self, account_id: int, change: Document) -> None:
        """Show on the calls that wait in the queue what they wait for."""
        waiting = {"account_id": account_id, "status": "queued", "_work.due": {"$exists": True}}
        update = {"$set": {**change, "updated_at": now()}}
        await self._everyone.update_many(CALLS, {**waiting, "remote_error_message": None}, update)

    async def _has_called(self, account_id: int) -> bool:
        """Whether the provider ever took a call of the account; the calls themselves tell, after a restart, too."""
        if account_id not in self._have_called:
            taken = {"account_id": account_id, "status": {"$in": TAKEN}, "remotely_queued_at": {"$ne": None}}
            if not await self._everyone.exists(CALLS, taken):
                return False
            self._have_called.add(account_id)
        return True

    async def look(self, account_id: int) -> None:
        """Let a call try at once if the account's credentials are others than those that were refused."""
        refused = self._refused.get(account_id)
        if refused is not None and await self._accounts.credentials(account_id) != refused:
            self._refused[account_id] = await self._accounts.credentials(account_id)
            self._pace.try_now(account_id)

    def answered(self, account_id: int) -> None:
        """The provider did not refuse the account."""
        self._refused.pop(account_id, None)

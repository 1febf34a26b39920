"""CallingAccounts that the provider refuses although it took calls of them before: that is not their calls' fault.

It is not, either, where the auth token of the account cannot be unsealed.

Their calls wait, as in an outage: single ones try, less and less often. Whatever keeps an account's calls back, a
refusal, an outage or a 429, is of the credentials that they were sent with: when these change, calls try at once.
"""

from __future__ import annotations

from scfm.errors import NotFound
from scfm.models.call_lifecycle import TAKEN_BY_PROVIDER, explain_waiting, try_now
from scfm.models.stored_documents import CALLS
from scfm.providers.credentials import Credentials
from scfm.providers.errors import AccountRefused
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.circuit_breaker import CircuitBreakers

WAITS = " (the provider refuses the account; its calls wait until its credentials are good again)"
WAITS_UNREADABLE = " (the calls of the account wait until then)"


class AccountRefusals:
    """Decides whether a call that was refused for its account waits. Its circuit breaker holds its calls back."""

    def __init__(self, store: Store, accounts: CallingAccounts, breakers: CircuitBreakers) -> None:
        self._all_tenants = store.all_tenants
        self._accounts = accounts
        self._breakers = breakers
        # What the calls of an account show that wait as it is refused; and the credentials by which accounts are
        # kept back.
        self._refused: dict[int, Document] = {}
        self._kept_back: dict[int, Credentials] = {}
        self._have_called: set[int] = set()

    async def waiting(self, account_id: int, credentials: Credentials, error: AccountRefused) -> Document | None:
        """What is set in a call that waits as its account was refused with CREDENTIALS; None where it does not wait.

        Raises Unavailable.
        """
        if await self._accounts.fresh_credentials(account_id) != credentials:
            return {}  # they were old ones
        if error.missing or not (error.unreadable or await self._has_called(account_id)):
            return None
        self._breakers[account_id].refused(error.message)
        self.kept_back(account_id, credentials)
        change = {"remote_error_message": error.message + (WAITS_UNREADABLE if error.unreadable else WAITS)}
        if account_id not in self._refused:
            self._refused[account_id] = change
            await self._tell(account_id, change)
        return change

    def explanation(self, account_id: int) -> Document | None:
        """What a call shows that is put back while its account is refused; None for any other."""
        return self._refused.get(account_id)

    async def _tell(self, account_id: int, change: Document) -> None:
        """Show on the calls that wait in the queue what they wait for."""
        await self._all_tenants.update_many(CALLS, *explain_waiting(account_id, change))

    async def _has_called(self, account_id: int) -> bool:
        """Whether the provider ever took a call of the account; the calls themselves tell, after a restart, too."""
        if account_id not in self._have_called:
            taken = {
                "account_id": account_id,
                "status": {"$in": list(TAKEN_BY_PROVIDER)},
                "remotely_queued_at": {"$ne": None},
            }
            if not await self._all_tenants.exists(CALLS, taken):
                return False
            self._have_called.add(account_id)
        return True

    def kept_back(self, account_id: int, credentials: Credentials) -> None:
        """The provider of these credentials does not take the account's calls for now."""
        self._kept_back[account_id] = credentials

    async def try_changed_credentials(self) -> None:
        """Let the calls of accounts try at once whose credentials are others than those that kept them back."""
        for account_id, tried in list(self._kept_back.items()):
            try:
                credentials = await self._accounts.credentials(account_id)
            except NotFound:
                del self._kept_back[account_id]
                continue
            if credentials != tried:
                await self._all_tenants.update_many(CALLS, *try_now(account_id))
                self._breakers[account_id].try_now()
                self._kept_back[account_id] = credentials

    def answered(self, account_id: int) -> None:
        """The provider did not refuse the account."""
        self._refused.pop(account_id, None)
        if not self._breakers[account_id].is_open:  # another call of it may have been put off at the same time
            self._kept_back.pop(account_id, None)

    def accepted(self, account_id: int) -> None:
        """The provider has taken a call of the account, which may not be stored yet."""
        self._have_called.add(account_id)

"""How the rest of the program reads and writes: the documents of one account, or of all of them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import cached_property

from scfm.storage.tenant_lists import TenantLists
from scfm.storage.tenant_writes import TenantWrites


class TenantView(TenantLists, TenantWrites):
    """Reads and writes within one account, or, for ``account_id`` None, within all of them."""

    @cached_property
    def all_tenants(self) -> TenantView:
        """The same within all accounts: for names that are unique over all of them, and for accounts themselves."""
        return TenantView(self._backend, None)

    def import_slot(self) -> AbstractAsyncContextManager[None]:
        """One of the slots of the account to store a batch of an import; raises Overloaded."""
        return self._backend.imports.slot(self.account_id)

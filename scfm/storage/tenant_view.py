"""How the rest of the program reads and writes: the documents of one account, or of all of them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from scfm.storage.tenant_lists import TenantLists
from scfm.storage.tenant_writes import TenantWrites


class TenantView(TenantLists, TenantWrites):
    """Reads and writes within one account, or, for ``account_id`` None, within all of them."""

    def import_slot(self) -> AbstractAsyncContextManager[None]:
        """One of the slots of the account to store a batch of an import; raises Overloaded."""
        return self._backend.imports.slot(self.account_id)

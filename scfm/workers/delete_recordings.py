"""Has providers delete the recordings of what people have said that are not to be kept any more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from scfm.clock import later
from scfm.models.doomed_recording import DOOM_LEASE, DOOMED_RECORDINGS, DoomedRecording
from scfm.providers.client import Provider
from scfm.providers.errors import AccountRefused, CallRejected, ProviderError
from scfm.providers.recording_urls import is_recording_of
from scfm.storage.store import Store
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.claims import claim_due
from scfm.workers.runner import Job

log = logging.getLogger("scfm.privacy")

# After so many seconds it is tried again; after the last it is given up.
DELETION_PAUSES = (5.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
MAX_DELETION_PAUSE = timedelta(seconds=DELETION_PAUSES[-1])
NOT_THERE = "account %d: a recording (%s) is not at the account's present provider: delete it where it is"
GIVEN_UP = "account %d: the provider does not delete the recording %s (%s): delete it there"


class DeleteRecordings(Job):
    """To ask for the same twice does no harm."""

    name = "delete recordings"
    slots = 2

    def __init__(self, store: Store, provider: Provider, accounts: CallingAccounts) -> None:
        self._store = store
        self._provider = provider
        self._accounts = accounts

    async def claim(self, limit: int) -> Sequence[DoomedRecording]:
        return await claim_due(self._store.all_tenants, DOOMED_RECORDINGS, DOOM_LEASE, limit)

    async def process(self, item: DoomedRecording) -> None:
        account_id, sid = item["account_id"], item["url"].rpartition("/")[2][:64]
        credentials = await self._accounts.credentials(account_id)
        if not is_recording_of(credentials, item["url"]):
            log.error(NOT_THERE, account_id, sid)
        elif (failure := await self._delete(item)) is not None:
            if item["tries"] < len(DELETION_PAUSES):
                again = {"due": later(DELETION_PAUSES[item["tries"]]), "tries": item["tries"] + 1}
                view = self._store.for_account(account_id)
                await view.update_one(DOOMED_RECORDINGS, {"_id": item["_id"]}, {"$set": again})
                return
            log.error(GIVEN_UP, account_id, sid, failure.message)
        await self._store.for_account(account_id).remove(DOOMED_RECORDINGS, {"_id": item["_id"]})

    async def _delete(self, item: DoomedRecording) -> ProviderError | None:
        """Why the recording may still be there; None where it is not."""
        try:
            await self._accounts.ask(
                item["account_id"], lambda credentials: self._provider.delete_recording(credentials, item["url"])
            )
        except AccountRefused as error:
            return error
        except CallRejected:  # it is not there any more
            return None
        except ProviderError as error:
            return error
        return None

"""What all views of one process share: the database, batches, counters, counts, and the limits of reads."""

from __future__ import annotations

from collections.abc import Mapping

from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.storage.block_counts import BlockCounts
from scfm.storage.block_tallies import BlockTallies
from scfm.storage.counted_fields import CountedFields
from scfm.storage.counters import Counters
from scfm.storage.database import Database
from scfm.storage.document_batches import DocumentBatches
from scfm.storage.write_watch import WriteWatchers
from scfm.storage.written_fields import WrittenFields

# How large an answer is shows when it has come, and it may have 16 MB: so many of an account's come at once.
MAX_READS, MAX_READ_WAIT = 16, 20.0


class Backend:
    """The layers below a TenantView, one of each in a process. Of no account: what is found is anyone's."""

    def __init__(self, database: Database, counted: Mapping[str, CountedFields]) -> None:
        """COUNTED: by collection, what those declare whose totals are remembered."""
        self.database = database
        self.counted = counted
        self.watchers: WriteWatchers = {}
        self.batches = DocumentBatches(database, self.watchers)
        self.counters = Counters(database)
        self.written = WrittenFields()
        self.counts = BlockCounts(database, self.counters, counted)
        self.tallies = BlockTallies(database, self.counters, counted)
        self.reads = AccountConcurrency("large lists and exports are being read", MAX_READS, MAX_READ_WAIT)

"""Opt-outs in bulk: opts every number out that is not yet. One that is there stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

from scfm.clock import now
from scfm.contacts_bulk.bulk_import import BulkImport
from scfm.contacts_bulk.text_lines import Problem, Row
from scfm.models.declaration import initial_fields
from scfm.models.opt_out import OPT_OUTS, SETTLE_FROM, opted_out
from scfm.models.stored_documents import OPT_OUT_COLLECTION
from scfm.models.webhook_event import OPT_OUT_CREATED, told_at_first
from scfm.storage.query import Document

# The column that is not metadata.
REASON_COLUMN = "reason"


class OptOutImport(BulkImport):
    """A column ``reason``, a text, becomes the reason; every other one is metadata."""

    collection = OPT_OUT_COLLECTION

    async def _save(self, rows: Sequence[Row]) -> list[Row]:
        there = await opted_out(self._view, {row.msisdn for row in rows})
        new: dict[str, Row] = {}
        for row in rows:
            reason = row.metadata.get(REASON_COLUMN)
            if reason is not None and not isinstance(reason, str):
                self.tally.add_error(Problem(row.line, REASON_COLUMN, "must be a text"))
            elif row.msisdn in there or row.msisdn in new:
                self.tally.unchanged += 1
            else:
                new[row.msisdn] = row
        refused = await self._insert(list(new.values()))
        self.tally.created += len(new) - len(refused)
        return refused

    async def _insert(self, rows: Sequence[Row]) -> list[Row]:
        """Store new opt-outs; the lines whose number somebody else has opted out meanwhile."""
        if not rows:
            return []
        ids = await self._view.counters.ids(OPT_OUTS.kind).allocate(len(rows))
        moment = now()
        documents = [
            {
                **_opt_out_of(row),
                "_id": one,
                "created_at": moment,
                "updated_at": moment,
                SETTLE_FROM: moment,
                **told_at_first(OPT_OUT_CREATED, moment),
            }
            for one, row in zip(ids, rows, strict=True)
        ]
        refused = await self._view.insert_many(OPT_OUT_COLLECTION, documents)
        await self._undo_if_account_deleted([one for one in ids if one not in refused])
        return [row for one, row in zip(ids, rows, strict=True) if one in refused]


def _opt_out_of(row: Row) -> Document:
    metadata = {name: value for name, value in row.metadata.items() if name != REASON_COLUMN}
    given = {"msisdn": row.msisdn, REASON_COLUMN: row.metadata.get(REASON_COLUMN), "metadata": metadata}
    return {**initial_fields(OPT_OUTS), **given, "source": "import", "_version": 1}

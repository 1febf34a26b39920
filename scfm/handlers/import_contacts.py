"""``POST /api/contacts/import`` and ``/api/opt_outs/import``: in bulk, read and stored as they arrive.

With ``preview=true`` nothing is stored, and the answer says what would be.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable

from scfm.contacts_bulk.bulk_import import BulkImport
from scfm.contacts_bulk.import_contacts import ContactImport
from scfm.contacts_bulk.import_file import ContactFile
from scfm.contacts_bulk.import_opt_outs import OptOutImport
from scfm.contacts_bulk.import_preview import ContactPreview, columns_of
from scfm.contacts_bulk.json_lines import checked_metadata
from scfm.contacts_bulk.number_column import NumberColumn, NumberColumnMissing
from scfm.contacts_bulk.text_lines import ReadStep, Row, RowError
from scfm.errors import Invalid, TooLarge
from scfm.handlers.audit_log import IMPORT, shown_now
from scfm.handlers.client import ClientHandler
from scfm.handlers.idempotency import carry_out, idempotency_key, own_view
from scfm.handlers.parameter_limits import Limits
from scfm.handlers.parameters import boolean, parse_parameters
from scfm.models.audit_trail import Subject
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document

MAX_IMPORT = 1 << 30


class ImportContactsHandler(ClientHandler):
    """Answers ``200`` with the counts and the bad lines; what fails as a whole is told when the body has ended."""

    file: ContactFile
    lines: BulkImport
    # Metadata that every line is given.
    common: Document
    failure: Exception | None = None
    # The bytes of the file that are in memory, as far as the budget of bodies knows.
    held_bytes = 0
    giving_up: asyncio.Task[None] | None = None
    ending: asyncio.Task[None] | None = None
    # What the audit event of the import is found by, once something has been stored.
    event: Document | None = None

    # A larger one that says so is refused at once, as so much is not read to be thrown away.
    drained_sizes = 1

    @property
    def _max_body_size(self) -> int:
        return MAX_IMPORT

    async def admit(self) -> None:
        await super().admit()
        parameters = parse_parameters(self.request.query, b"", "", Limits())
        content_type = self.request.headers.get("Content-Type", "")
        preview = boolean(parameters, "preview")
        try:
            self.common = checked_metadata(parameters.get("metadata"))
        except RowError as error:
            raise Invalid({"metadata": [error.reason]}) from None
        number = NumberColumn.of(parameters.get("msisdn_column"), guess=preview)
        self.file = ContactFile(content_type, parameters.get("sheet"), self.client.country, number)
        self.lines = self._begin_import(parameters.get("metadata_merge_mode", self.file.mode), preview=preview)
        # Under an Idempotency-Key: what the body is shows at its end, so a replay reads it and does no more.
        self.digest = hashlib.sha256()
        if (key := idempotency_key(self)) is not None:
            content = [self.request.path, self.request.headers["Content-Type"], parameters]
            self.idempotent_request = await self.app.idempotency_keys.begin(
                own_view(self), key, json.dumps(content, sort_keys=True).encode()
            )

    def _begin_import(self, mode: object, *, preview: bool) -> BulkImport:
        """What the lines go to; MODE is a ``metadata_merge_mode``. Raises Invalid where there is no PREVIEW."""
        if preview:
            return ContactPreview(self.own_scope().view, mode, self.app.imports)
        return ContactImport(self.own_scope().view, mode, self.app.imports, self._begin_event)

    def on_connection_close(self) -> None:
        """The client has gone before it had its answer: it may try again at once."""
        super().on_connection_close()
        if self.body_is_unfinished:
            self._close()
            self.ending = asyncio.ensure_future(self._end_event())
        self._give_up()

    def refuse_body(self) -> None:
        super().refuse_body()
        self._give_up()

    def _give_up(self) -> None:
        if self.idempotent_request is not None and self.idempotent_request.answer is None:
            self.giving_up = asyncio.ensure_future(
                self.app.idempotency_keys.give_up(own_view(self), self.idempotent_request)
            )

    def on_finish(self) -> None:
        super().on_finish()
        self._close()

    def _close(self) -> None:
        if hasattr(self, "file"):  # not for a request that was refused before
            self.file.close()

    async def data_received(self, chunk: bytes) -> None:
        """Take a part of the body. Tornado reads on when this returns, so no more is held than a batch."""
        self.size += len(chunk)
        if self.idempotent_request is not None:
            self.digest.update(chunk)
        if self.failure is None and (self.idempotent_request is None or self.idempotent_request.answer is None):
            try:
                if self.size > MAX_IMPORT:
                    raise TooLarge
                await self._add(self.file.feed(chunk))
            except Exception as failure:
                self.failure = failure
            if self.body_is_unfinished:
                held = self.file.held_bytes + self.lines.held_bytes
                more, self.held_bytes = held - self.held_bytes, held
                self.app.bodies.hold(self, more)

    async def _add(self, steps: Iterable[ReadStep]) -> None:
        """Take what the file gives, step by step; others are served in between."""
        time_slice = TimeSlice()
        for found in steps:
            if found is not None:
                joined = found.joined_by(self.common) if self.common and isinstance(found, Row) else found
                await self.lines.add(joined)
            await time_slice.pause()

    async def _begin_event(self) -> None:
        """Record the import before anything of it is stored: of one that is cut off by a crash that much is told."""
        subject = Subject(self.route_options["resource"].kind, None, self.client.account_id)
        self.event = await self.own_scope().audit.record(subject, IMPORT)

    async def _end_event(self) -> None:
        """Record what the import has come to, though it be cut off."""
        if self.event is not None:
            tally = self.lines.tally
            counts = {name: getattr(tally, name) for name in ("created", "updated", "unchanged", "failed")}
            await self.own_scope().audit.complete(self.event, shown_now(counts))

    async def post(self) -> None:
        if self.idempotent_request is None:
            await self._conclude()
        else:
            await carry_out(self, self.idempotent_request, self._conclude, self.digest.hexdigest())

    async def _conclude(self) -> None:
        if not isinstance(self.lines, ContactPreview):
            try:
                await self._read_to_the_end()
            finally:  # what was stored before a failure stays
                await self._end_event()
            self.answer(200, self.lines.tally.as_json())
            return
        try:
            await self._read_to_the_end()
        except NumberColumnMissing:
            if self.file.table.number.name is not None:
                raise
            self.lines.complete = False  # nothing can be counted before it is known
        self.answer(200, {**columns_of(self.file), **self.lines.as_json()})

    async def _read_to_the_end(self) -> None:
        if self.failure is not None:
            raise self.failure
        await self.file.finish()
        await self._add(self.file.end())
        await self.lines.flush()


class ImportOptOutsHandler(ImportContactsHandler):
    """The same for opt-outs: from the answer on no call leaves for one of the numbers."""

    def _begin_import(self, mode: object, *, preview: bool) -> BulkImport:
        if preview:
            raise Invalid({"preview": ["is there for contacts alone"]})
        return OptOutImport(self.own_scope().view, self.app.imports, self._begin_event)

    async def _conclude(self) -> None:
        try:
            await super()._conclude()
        finally:  # what was stored before a failure stays
            self.app.wake()

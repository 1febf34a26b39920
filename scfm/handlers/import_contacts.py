"""``POST /api/contacts/import``: contacts in bulk, read and stored as they arrive."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

from scfm.errors import Invalid, TooLarge
from scfm.handlers.base import ClientHandler
from scfm.handlers.once import carry_out, key_of, own_view
from scfm.handlers.parameters import Limits, parse
from scfm.models import idempotency
from scfm.models.contact_csv import CsvReader
from scfm.models.contact_import import ContactImport
from scfm.models.contact_lines import JsonLinesReader, Reader

LARGEST_IMPORT = 1 << 30
# After so many lines the other requests have their turn.
LINES_IN_A_ROW = 10

CSV = "text/csv"
JSON_LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")
# Each type with its reader, and how its metadata joins what is stored unless the client says otherwise: the
# columns of CSV are single values, so an object keeps those that the file does not have.
FORMATS: dict[str, tuple[Callable[[str | None], Reader], str]] = {
    CSV: (CsvReader, "deep_merge"),
    **dict.fromkeys(JSON_LINES, (JsonLinesReader, "merge")),
}
UTF8 = ("utf-8", "utf8", "us-ascii")


class ImportContactsHandler(ClientHandler):
    """Answers ``200`` with the counts and the bad lines; what fails as a whole is told when the body has ended."""

    reader: Reader
    contacts: ContactImport
    failure: Exception | None = None
    giving_up: asyncio.Task[None] | None = None

    # A larger one that says so is refused at once, as so much is not read to be thrown away.
    drained = 1

    @property
    def largest_body(self) -> int:
        return LARGEST_IMPORT

    async def admit(self) -> None:
        await super().admit()
        reader, mode = _format(self.request.headers.get("Content-Type", ""))
        parameters = parse(self.request.query, b"", "", Limits())
        self.reader = reader(self.client.country)
        self.contacts = ContactImport(self.own().view, parameters.get("metadata_merge_mode", mode))
        await self._begin(parameters)

    async def _begin(self, parameters: dict[str, Any]) -> None:
        """Under an Idempotency-Key: what the body is shows at its end, so a replay reads it and does no more."""
        self.digest = hashlib.sha256()
        if (key := key_of(self)) is not None:
            content = [self.request.path, self.request.headers["Content-Type"], parameters]
            self.named = await idempotency.begin(own_view(self), key, json.dumps(content, sort_keys=True).encode())

    def on_connection_close(self) -> None:
        """The client has gone before it had its answer: it may try again at once."""
        super().on_connection_close()
        if self.named is not None and self.named.answer is None:
            self.giving_up = asyncio.ensure_future(idempotency.give_up(own_view(self), self.named))

    async def data_received(self, chunk: bytes) -> None:
        """Take a part of the body. Tornado reads on when this returns, so no more is held than a batch."""
        self.size += len(chunk)
        if self.named is not None:
            self.digest.update(chunk)
        if self.failure is None and (self.named is None or self.named.answer is None):
            try:
                await self._take(chunk)
            except Exception as failure:
                self.failure = failure

    async def _take(self, chunk: bytes) -> None:
        if self.size > LARGEST_IMPORT:
            raise TooLarge
        for taken, found in enumerate(self.reader.feed(chunk), 1):
            await self.contacts.add(found)
            if taken % LINES_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def post(self) -> None:
        if self.named is None:
            await self._conclude()
        else:
            await carry_out(self, self.named, self._conclude, self.digest.hexdigest())

    async def _conclude(self) -> None:
        if self.failure is not None:
            raise self.failure
        for found in self.reader.end():
            await self.contacts.add(found)
        await self.contacts.flush()
        self.answer(200, self.contacts.tally.show())


def _format(content_type: str) -> tuple[Callable[[str | None], Reader], str]:
    media_type, _, parameters = content_type.partition(";")
    found = FORMATS.get(media_type.strip().lower())
    if found is None:
        raise Invalid({"content_type": [f"must be {CSV} or {JSON_LINES[0]}"]})
    name, _, charset = parameters.partition("=")
    if name.strip().lower() == "charset" and charset.strip(' "').lower() not in UTF8:
        raise Invalid({"content_type": ["must have the charset utf-8"]})
    return found

"""``GET /api/contacts/export``: contacts in bulk, written as they are read, in a format that the import reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import cast

from scfm.contacts_bulk.columns import Columns
from scfm.contacts_bulk.csv_format import csv_line
from scfm.contacts_bulk.harmless_cell import BYTE_ORDER_MARK, harmless
from scfm.contacts_bulk.import_file import CSV, JSON_LINES
from scfm.contacts_bulk.json_lines import json_line
from scfm.contacts_bulk.number_column import MSISDN
from scfm.contacts_bulk.text_lines import cell_text
from scfm.handlers.download import DownloadHandler, chosen_format
from scfm.handlers.parameters import boolean
from scfm.models.audit_trail import Subject
from scfm.models.contact import CONTACTS
from scfm.models.masking import shown_to
from scfm.models.merge import without_memory
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document, Query

CONTENT_TYPES = {"csv": f"{CSV}; charset=utf-8", "jsonl": JSON_LINES[0]}


class ExportContactsHandler(DownloadHandler):
    """All contacts that fit ``q``, in order of id. It has no ETag: its headers go before its body is known."""

    async def get(self) -> None:
        parameters = self.parameters()
        accepted = self.request.headers.get("Accept", "").lower()
        by_accept = "jsonl" if CSV not in accepted and any(name in accepted for name in JSON_LINES) else "csv"
        chosen = chosen_format(parameters, CONTENT_TYPES, by_accept)
        self.with_memory = boolean(parameters, "call_flow_data")
        # As people open it, and not as an import reads it back.
        for_people = boolean(parameters, "spreadsheet")
        self.mark = BYTE_ORDER_MARK if for_people else b""
        self.written: Callable[[str], str] = harmless if for_people else str
        query = await self.filtered(lambda: CONTACTS.query(parameters.get("q"), self.client.country))
        parts = self._csv(query) if chosen == "csv" else self._json_lines(query)
        subject = Subject(CONTACTS.kind, None, self.client.account_id)
        await self.download(f"contacts.{chosen}", CONTENT_TYPES[chosen], parts, subject)

    head = get

    async def _json_lines(self, query: Query) -> AsyncGenerator[bytes, None]:
        yield b""  # an empty export has headers too
        async for part in self._parts(query, lambda contact: json_line(CONTACTS.show(contact))):
            yield part

    async def _csv(self, query: Query) -> AsyncGenerator[bytes, None]:
        """The header needs to know every contact's columns: the contacts are read twice."""
        columns = Columns()
        time_slice = TimeSlice()
        async for contacts in self.own_scope().view.list_of(query).pieces(["metadata"]):
            self.check_client()
            for contact in contacts:
                columns.add(self._given(contact)["metadata"])
                await time_slice.pause()
        yield self.mark + csv_line([MSISDN, *map(self.written, columns.names)])

        def line(contact: Document) -> bytes:
            cells = map(cell_text, columns.values(contact["metadata"]))
            return csv_line([contact["msisdn"], *map(self.written, cells)])

        async for part in self._parts(query, line):
            yield part

    async def _parts(self, query: Query, line: Callable[[Document], bytes]) -> AsyncGenerator[bytes, None]:
        """The contacts as lines, some at a time; others are served while they are written."""
        time_slice = TimeSlice()
        async for contacts in self.own_scope().view.list_of(query).pieces():
            part = bytearray()
            while contacts:  # which are not held while the client takes the lines
                part += line(self._given(contacts.pop(0)))
                await time_slice.pause()
            yield bytes(part)

    def _given(self, contact: Document) -> Document:
        """The contact as the client may see it, with what call flows remember only if that was asked for."""
        given = contact if self.with_memory else {**contact, "metadata": without_memory(contact["metadata"])}
        return cast(Document, shown_to(self.role, given))

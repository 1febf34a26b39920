"""``GET /api/contacts/export``: contacts in bulk, written as they are read, in a format that the import reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from tornado.iostream import StreamClosedError

from scfm.contacts_bulk.csv_format import Columns
from scfm.contacts_bulk.import_file import CSV, JSON_LINES
from scfm.contacts_bulk.json_lines import json_line
from scfm.errors import Invalid
from scfm.handlers.base import FRESH
from scfm.handlers.client import ClientHandler
from scfm.models.contact import CONTACTS
from scfm.models.fields import NOT_IN_LIST
from scfm.models.filters import text
from scfm.models.merge import without_memory
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Document, Query

CONTENT_TYPES = {"csv": f"{CSV}; charset=utf-8", "jsonl": JSON_LINES[0]}


class ExportContactsHandler(ClientHandler):
    """All contacts that fit ``q``, in order of id. It has no ETag: its headers go before its body is known."""

    async def get(self) -> None:
        parameters = self.parameters()
        chosen = self._format(parameters)
        self.with_memory = _with_memory(parameters)
        query = await self.filtered(lambda: CONTACTS.query(parameters.get("q"), self.client.country))
        try:
            await self._send(chosen, self._csv(query) if chosen == "csv" else self._json_lines(query))
        except StreamClosedError:
            pass  # the client has gone
        except Exception as failure:
            if not self._headers_written:
                raise
            # Ended in the ordinary way, half an export would look like a whole one.
            self.log_exception(type(failure), failure, failure.__traceback__)
            self.detach().close()

    head = get

    def _format(self, parameters: dict[str, Any]) -> str:
        accepted = self.request.headers.get("Accept", "").lower()
        by_accept = "jsonl" if CSV not in accepted and any(name in accepted for name in JSON_LINES) else "csv"
        chosen = parameters.get("format", by_accept)
        if not isinstance(chosen, str) or chosen not in CONTENT_TYPES:
            raise Invalid({"format": [f"{NOT_IN_LIST}: {', '.join(CONTENT_TYPES)}"]})
        return chosen

    async def _send(self, chosen: str, parts: AsyncIterator[bytes]) -> None:
        """Write the parts at the pace at which the client takes them."""
        async for part in parts:
            if not self._headers_written:
                self.set_header("Content-Type", CONTENT_TYPES[chosen])
                self.set_header("Content-Disposition", f'attachment; filename="contacts.{chosen}"')
                self.set_header("Cache-Control", FRESH)
                self.set_header("X-Runtime", f"{self.request.request_time():.6f}")
            self.write(part)
            await self.flush()
            if self.request.method == "HEAD":
                return

    async def _json_lines(self, query: Query) -> AsyncIterator[bytes]:
        yield b""  # an empty export has headers too
        async for part in self._parts(query, lambda contact: json_line(CONTACTS.show(contact))):
            yield part

    async def _csv(self, query: Query) -> AsyncIterator[bytes]:
        """The header needs to know every contact's columns: the contacts are read twice."""
        columns = Columns()
        time_slice = TimeSlice()
        async for contacts in self.own_scope().view.list_of(query).pieces(["metadata"]):
            if cast(Any, self.request.connection).stream.closed():  # which would show at the first part only
                raise StreamClosedError
            for contact in contacts:
                columns.add(self._given(contact)["metadata"])
                await time_slice.pause()
        yield columns.header()
        async for part in self._parts(query, columns.line):
            yield part

    async def _parts(self, query: Query, line: Callable[[Document], bytes]) -> AsyncIterator[bytes]:
        """The contacts as lines, some at a time; others are served while they are written."""
        time_slice = TimeSlice()
        async for contacts in self.own_scope().view.list_of(query).pieces():
            part = bytearray()
            while contacts:  # which are not held while the client takes the lines
                part += line(self._given(contacts.pop(0)))
                await time_slice.pause()
            yield bytes(part)

    def _given(self, contact: Document) -> Document:
        """The contact, with what call flows remember only if that was asked for."""
        return contact if self.with_memory else {**contact, "metadata": without_memory(contact["metadata"])}


def _with_memory(parameters: dict[str, Any]) -> bool:
    asked = text(parameters.get("call_flow_data", "false"))
    if asked not in ("true", "false"):
        raise Invalid({"call_flow_data": ["must be true or false"]})
    return asked == "true"

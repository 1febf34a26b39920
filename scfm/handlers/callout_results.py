"""``GET /api/callouts/1/results``: what became of each person, as a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from scfm.contacts_bulk.csv_format import csv_line
from scfm.contacts_bulk.harmless_cell import BYTE_ORDER_MARK
from scfm.contacts_bulk.import_file import XLSX
from scfm.contacts_bulk.json_lines import json_line
from scfm.contacts_bulk.text_lines import cell_text
from scfm.handlers.download import DownloadHandler, chosen_format
from scfm.handlers.export_contacts import CONTENT_TYPES
from scfm.handlers.parameters import boolean, parse_id
from scfm.models.audited_change import subject_of
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.filter_formats import check_filters
from scfm.models.masking import shown_to
from scfm.results.result import Result, results
from scfm.results.result_table import Cell, ResultTable
from scfm.results.workbook_writer import WorkbookWriter
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.query import Query

RESULT_TYPES = {**CONTENT_TYPES, "xlsx": XLSX}


class CalloutResultsHandler(DownloadHandler):
    """The results of the participations that fit ``q``, in order of id.

    The header of a table needs to know every column: for CSV and XLSX all is read twice.
    """

    async def get(self, id_text: str) -> None:
        parameters = self.parameters()
        chosen = chosen_format(parameters, RESULT_TYPES, "csv")
        self.mark = BYTE_ORDER_MARK if boolean(parameters, "bom") else b""
        view = self.own_scope().view
        callout = await view.get(CALLOUTS.collection, parse_id(id_text))
        given, country = parameters.get("q"), self.client.country
        if given is not None:
            check_filters("callout_participation_filters", given, country)
        query = await self.filtered(lambda: CALLOUT_PARTICIPATIONS.under("callout", callout, given, country))
        written = {"csv": self._csv, "jsonl": self._json_lines, "xlsx": self._xlsx}[chosen]
        name, subject = f"callout-{callout['_id']}-results.{chosen}", subject_of(self.own_scope(), CALLOUTS, callout)
        await self.download(name, RESULT_TYPES[chosen], written(query), subject)

    head = get

    async def _json_lines(self, query: Query) -> AsyncGenerator[bytes, None]:
        yield b""  # no results have headers too
        async for part in self._parts(query, json_line):
            yield part

    async def _csv(self, query: Query) -> AsyncGenerator[bytes, None]:
        table = await self._table(query)
        yield self.mark + csv_line(table.header())
        async for part in self._parts(query, lambda result: csv_line([*map(_text, table.row(result))])):
            yield part

    async def _xlsx(self, query: Query) -> AsyncGenerator[bytes, None]:
        table = await self._table(query)
        workbook = WorkbookWriter("Results", table.header())

        def written(result: Result) -> bytes:
            workbook.add(table.row(result))
            return workbook.take()

        async for part in self._parts(query, written):
            yield part
        workbook.close()
        yield workbook.take()

    async def _table(self, query: Query) -> ResultTable:
        """The table that all the results need."""
        table = ResultTable()
        time_slice = TimeSlice()
        async with aclosing(results(self.own_scope().view, query)) as pieces:
            async for some in pieces:
                self.check_client()
                for result in some:
                    table.add(shown_to(self.role, result))
                    await time_slice.pause()
        return table

    async def _parts(self, query: Query, written: Callable[[Result], bytes]) -> AsyncGenerator[bytes, None]:
        """What is WRITTEN of each result, some at a time; others are served in between."""
        time_slice = TimeSlice()
        async with aclosing(results(self.own_scope().view, query)) as pieces:
            async for some in pieces:
                part = bytearray()
                for result in some:
                    part += written(shown_to(self.role, result))
                    await time_slice.pause()
                yield bytes(part)


def _text(value: Cell) -> str:
    return value if isinstance(value, str) else cell_text(value)

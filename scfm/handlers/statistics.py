"""``GET /api/callouts/1/statistics``, as a stream ``GET /api/callouts/1/progress``; ``GET /api/statistics``."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from tornado.iostream import StreamClosedError

from scfm.contacts_bulk.metadata_path import metadata_path
from scfm.errors import Unauthorized, Unavailable
from scfm.handlers.client import ClientHandler
from scfm.handlers.parameters import parse_id
from scfm.models.contact import CONTACTS
from scfm.models.masking import count_numbers, value_shown_to
from scfm.models.stored_documents import CALLOUT_COLLECTION
from scfm.results.account_statistics import day_range
from scfm.results.progress_feeds import ProgressReader

EVENT_STREAM = "text/event-stream"
# A comment keeps proxies from closing a stream in which nothing happens. As often it is asked whether the client is
# still let in: its session, or its token, may be over.
COMMENT_SECONDS = 15.0
COMMENT = b":\n\n"
# A stream ends after so long, and the client comes back.
MAX_STREAM_SECONDS = 3600.0


class CalloutStatisticsHandler(ClientHandler):
    """The statistics of a callout; with ``group_by``, by a value of the contacts, too."""

    async def get(self, id_text: str) -> None:
        parameters = self.parameters()
        scope, callout_id = self.own_scope(), parse_id(id_text)
        view = scope.view
        if parameters.get("group_by") is None:
            self.answer(200, await self.app.statistics.of_callout(view, callout_id))
        else:
            path = metadata_path("group_by", parameters["group_by"])
            statistics = await self.app.statistics.by_group(view, callout_id, path)
            numbers = count_numbers(path, (group["value"] for group in statistics["groups"]))
            await self.app.audit.record_numbers_read(scope, CONTACTS, numbers, parameters)
            for group in statistics["groups"]:
                group["value"] = value_shown_to(self.role, path, group["value"])
            self.answer(200, statistics)

    head = get


class AccountStatisticsHandler(ClientHandler):
    """The statistics of the client's account, on the days ``from`` … ``to``."""

    async def get(self) -> None:
        days = day_range(self.parameters())
        self.answer(200, await self.app.statistics.of_account(self.own_scope().view, days))

    head = get


class CalloutProgressHandler(ClientHandler):
    """The statistics as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    reader: ProgressReader | None = None

    async def get(self, id_text: str) -> None:
        self.parameters()
        callout = await self.own_scope().view.get(CALLOUT_COLLECTION, parse_id(id_text))
        self.set_header("Content-Type", EVENT_STREAM)
        self.set_header("X-Accel-Buffering", "no")  # of nginx
        self.set_header("X-Runtime", f"{self.request.request_time():.6f}")
        if self.request.method == "HEAD":
            return
        async with self.app.progress_feeds.reader(self.client.account_id, callout["_id"]) as self.reader:
            self.app.request_tracker.streaming(self.request.connection)
            try:
                async with asyncio.timeout(MAX_STREAM_SECONDS):
                    await self._send(self.reader)
            except (StreamClosedError, TimeoutError, Unauthorized):
                pass

    head = get

    async def _send(self, reader: ProgressReader) -> None:
        """Send what READER is told, until nothing more follows. Raises Unauthorized: the client is let in no more."""
        await self.flush()
        known = self.request.headers.get("Last-Event-ID")
        let_in_at = time.monotonic()
        while True:
            content = COMMENT
            with suppress(TimeoutError):
                async with asyncio.timeout(COMMENT_SECONDS):
                    update = await reader.after(known)
                if update is None:
                    return
                known, content = update.event_id, update.event
            if time.monotonic() - let_in_at >= COMMENT_SECONDS:
                let_in_at = time.monotonic()
                with suppress(Unavailable):  # a database that does not answer ends no stream
                    await self.app.authenticator.client(self.request)
            self.write(content)
            await self.flush()

    def on_connection_close(self) -> None:
        """The client has gone: nothing is computed for it any more."""
        super().on_connection_close()
        if self.reader is not None:
            self.reader.close()

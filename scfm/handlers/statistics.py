"""``GET /api/callouts/1/statistics``, as a stream ``GET /api/callouts/1/progress``; ``GET /api/statistics``."""

from __future__ import annotations

import asyncio

from tornado.iostream import StreamClosedError

from scfm.handlers.client import ClientHandler
from scfm.models.callout import CALLOUTS
from scfm.results.account_statistics import day_range
from scfm.results.group_statistics import group_path
from scfm.results.progress_feeds import ProgressReader

EVENT_STREAM = "text/event-stream"
# A comment keeps proxies from closing a stream in which nothing happens.
COMMENT_SECONDS = 15.0
COMMENT = b":\n\n"
# A stream ends after so long: the client comes back with a token that is looked at again.
MAX_STREAM_SECONDS = 3600.0


class CalloutStatisticsHandler(ClientHandler):
    """The statistics of a callout; with ``group_by``, by a value of the contacts, too."""

    async def get(self, id_text: str) -> None:
        parameters = self.parameters()
        view, callout_id = self.own_scope().view, self.parse_id(id_text)
        if parameters.get("group_by") is None:
            self.answer(200, await self.app.statistics.of_callout(view, callout_id))
        else:
            path = group_path(parameters["group_by"])
            self.answer(200, await self.app.statistics.by_group(view, callout_id, path))

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
        callout = await self.own_scope().view.get(CALLOUTS.collection, self.parse_id(id_text))
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
            except (StreamClosedError, TimeoutError):
                pass

    head = get

    async def _send(self, reader: ProgressReader) -> None:
        """Send what READER is told, until nothing more follows."""
        await self.flush()
        known = self.request.headers.get("Last-Event-ID")
        while True:
            try:
                async with asyncio.timeout(COMMENT_SECONDS):
                    update = await reader.after(known)
            except TimeoutError:
                self.write(COMMENT)
                await self.flush()
                continue
            if update is None:
                return
            known = update.event_id
            self.write(update.event)
            await self.flush()

    def on_connection_close(self) -> None:
        """The client has gone: nothing is computed for it any more."""
        super().on_connection_close()
        if self.reader is not None:
            self.reader.close()

"""Files of any length, sent as they are made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Any, cast

from tornado.iostream import StreamClosedError

from scfm.errors import Invalid
from scfm.handlers.audit_log import EXPORT, asked, shown_now
from scfm.handlers.base import FRESH
from scfm.handlers.client import ClientHandler
from scfm.models.audit_trail import Subject
from scfm.models.fields import NOT_IN_LIST
from scfm.models.roles import Role
from scfm.runtime.account_concurrency import AccountConcurrency

log = logging.getLogger("scfm.http")

# How long one may take, at whatever pace the client takes it.
MAX_DOWNLOAD_SECONDS = 4 * 3600.0
# So many of an account are sent at once; the others wait for so many seconds.
MAX_DOWNLOADS, MAX_WAIT_SECONDS = 8, 20.0


def download_slots() -> AccountConcurrency:
    """How many downloads of each account may be sent at once."""
    return AccountConcurrency("exports and results are being sent", MAX_DOWNLOADS, MAX_WAIT_SECONDS)


def chosen_format(parameters: dict[str, Any], formats: Collection[str], default: str) -> str:
    """The parameter ``format``, one of FORMATS, or DEFAULT; raises Invalid."""
    chosen = parameters.get("format", default)
    if not isinstance(chosen, str) or chosen not in formats:
        raise Invalid({"format": [f"{NOT_IN_LIST}: {', '.join(formats)}"]})
    return chosen


class DownloadHandler(ClientHandler):
    """A handler that answers with a file. It has no ETag: its headers go before its body is known.

    Nothing but a part of the file is held at a time. One that fails, or takes longer than MAX_DOWNLOAD_SECONDS, ends
    with its connection: ended in the ordinary way, half a file would look like a whole one.
    """

    async def download(
        self, name: str, content_type: str, parts: AsyncGenerator[bytes, None], subject: Subject
    ) -> None:
        """Answer with the file NAME that PARTS make, at the pace at which the client takes them; SUBJECT is in it.

        What is raised before the first part is an answer as any other. Raises Overloaded where the account's other
        downloads take too long.
        """
        try:
            async with self.app.downloads.slot(self.client.account_id), aclosing(parts):
                async with asyncio.timeout(MAX_DOWNLOAD_SECONDS):
                    if self.request.method != "HEAD" and self.client.role is not Role.VIEWER:
                        what = shown_now({"file": name, **asked(self.parameters())})
                        await self.own_scope().audit.record(subject, EXPORT, what)
                    await self._send(name, content_type, parts)
        except StreamClosedError:
            pass  # the client has gone
        except Exception as failure:
            if not self._headers_written:
                raise
            if isinstance(failure, TimeoutError):
                log.warning("%s took longer than %g s and was cut off", name, MAX_DOWNLOAD_SECONDS)
            else:
                self.log_exception(type(failure), failure, failure.__traceback__)
            self.detach().close()

    async def _send(self, name: str, content_type: str, parts: AsyncGenerator[bytes, None]) -> None:
        self.app.request_tracker.streaming(self.request.connection)
        async for part in parts:
            if not self._headers_written:
                self.set_header("Content-Type", content_type)
                self.set_header("Content-Disposition", f'attachment; filename="{name}"')
                self.set_header("Cache-Control", FRESH)
                self.set_header("X-Runtime", f"{self.request.request_time():.6f}")
            self.write(part)
            await self.flush()
            if self.request.method == "HEAD":
                return

    def check_client(self) -> None:
        """Raise StreamClosedError if the client has gone, which else would show only when a part is sent."""
        if cast(Any, self.request.connection).stream.closed():
            raise StreamClosedError

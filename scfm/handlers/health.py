"""``GET /health``: whether the server and its database answer."""

from __future__ import annotations

import asyncio

from scfm import __version__
from scfm.errors import Unreachable
from scfm.handlers.base import BaseHandler
from scfm.handlers.readiness import PING_SECONDS


class HealthHandler(BaseHandler):
    """200 when both answer; 503 when the database does not, within two seconds. Needs no token."""

    counts_for_address = False

    async def get(self) -> None:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self.app.store.database.ping()
        except TimeoutError:
            raise Unreachable(f"no answer to a ping within {PING_SECONDS:g} s") from None
        self.answer(200, {"status": "ok", "version": __version__})

    head = get

"""``GET /health``: whether the server and its database answer."""

from __future__ import annotations

from scfm import __version__
from scfm.handlers.base import BaseHandler


class HealthHandler(BaseHandler):
    """200 when both answer; 503 when the database does not. Needs no token."""

    async def get(self) -> None:
        await self.app.store.ping()
        self.answer(200, {"status": "ok", "version": __version__})

    head = get

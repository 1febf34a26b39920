"""``GET /ready``: whether requests may be sent to this process."""

from __future__ import annotations

from scfm.handlers.base import RETRY_AFTER_SECONDS, BaseHandler


class ReadyHandler(BaseHandler):
    """200 where the process does its work; else 503, with the reasons. Needs no token."""

    counts_for_address = False

    async def get(self) -> None:
        reasons = await self.app.readiness.reasons()
        if reasons:
            self.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.answer(503 if reasons else 200, {"status": "not ready" if reasons else "ready", "reasons": reasons})

    head = get

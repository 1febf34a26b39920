"""The lines in the log for webhooks that are refused: why, and no more of them than somebody can read."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping

log = logging.getLogger("scfm.webhook")

# So many lines in so many seconds for each status; how many more there were is said at the end of the time.
MAX_REJECTION_LINES = 5
REJECTION_SECONDS = 10.0
MAX_SHOWN_URL = 200

_SID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}\Z")
_PHONE_NUMBER = re.compile(r"\d{7,}")


class WebhookRejectionLog:
    """Counts the webhooks that are refused, and writes the first of them down."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def record(self, status: int, reason: str, details: Mapping[str, str], url: str) -> None:
        """Write down that a webhook to a public URL was refused with a status: 403, 422…

        ``details`` may be what anybody has made up. Of them nothing is written but the ids, if they look like ids.
        """
        count = self._counts.get(status, 0)
        self._counts[status] = count + 1
        if count == 0:
            asyncio.get_running_loop().call_later(REJECTION_SECONDS, self._end, status)
        if count < MAX_REJECTION_LINES:
            ids = ", ".join(f"{name} {_id(details.get(name, ''))}" for name in ("AccountSid", "CallSid"))
            log.warning("webhook refused with %d: %s (%s, as sent to %s)", status, reason, ids, _shown(url))

    def _end(self, status: int) -> None:
        more = self._counts.pop(status) - MAX_REJECTION_LINES
        if more > 0:
            log.warning("%d more webhooks were refused with %d in the last %g s", more, status, REJECTION_SECONDS)


def _id(sent: str) -> str:
    if not sent:
        return "missing"
    return sent if _SID.match(sent) else "not an id"


def _shown(url: str) -> str:
    """The URL without its query, and without what cannot be read or may be somebody's number."""
    readable = "".join(character if character.isprintable() else "?" for character in url.partition("?")[0])
    return _PHONE_NUMBER.sub(lambda found: "…" + found[0][-4:], readable)[:MAX_SHOWN_URL]

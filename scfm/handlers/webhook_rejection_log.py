"""The lines in the log for webhooks that are refused: why, and no more of them than somebody can read."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from scfm.runtime.log_format import fields
from scfm.runtime.log_limit import LimitedLines
from scfm.runtime.redaction import redacted

log = logging.getLogger("scfm.webhook")

MAX_SHOWN_URL = 200

_SID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]{1,64}\Z")
_PHONE_NUMBER = re.compile(r"\d{7,}")


class WebhookRejectionLog:
    """Counts the webhooks that are refused, and writes the first of them down."""

    def __init__(self) -> None:
        self._lines = LimitedLines(log, "%d more webhooks were refused with %d in the last %g s")

    def record(self, status: int, reason: str, details: Mapping[str, str], url: str) -> None:
        """Write down that a webhook to a public URL was refused with a status: 403, 422…

        ``details`` may be what anybody has made up. Of them nothing is written but the ids, if they look like ids.
        """
        ids = ", ".join(f"{name} {_id(details.get(name, ''))}" for name in ("AccountSid", "CallSid"))
        extra = fields(status=status, reason=reason)
        self._lines.warn(
            status, "webhook refused with %d: %s (%s, as sent to %s)", status, reason, ids, _shown(url), extra=extra
        )


def _id(sent: str) -> str:
    if not sent:
        return "missing"
    return sent if _SID.match(sent) and redacted(sent) == sent else "not an id"


def _shown(url: str) -> str:
    """The URL without its query, and without what cannot be read or may be somebody's number."""
    readable = "".join(character if character.isprintable() else "?" for character in url.partition("?")[0])
    return _PHONE_NUMBER.sub(lambda found: "…" + found[0][-4:], readable)[:MAX_SHOWN_URL]

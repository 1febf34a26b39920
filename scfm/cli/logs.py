"""The log of a command, on stderr."""

from __future__ import annotations

import logging
import sys
import time

from scfm.settings import Settings


class _Formatter(logging.Formatter):
    """Times as ``2026-11-28T19:12:34.123+0000``, in the machine's zone."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (logging's name)
        moment = time.localtime(record.created)
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(record.msecs):03}{time.strftime('%z', moment)}"


def log_to_stderr(settings: Settings) -> None:
    """Write what is logged from the settings' level on, a line each, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    # Our own loggers tell what happens; those of the libraries are heard only when something is wrong.
    for noisy in ("pymongo", "twilio", "asyncio", "tornado", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))

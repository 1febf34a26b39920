"""Keeps the embedded mongod running for as long as its server runs."""

from __future__ import annotations

import asyncio
import logging
import time

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import StartError

log = logging.getLogger("scfm")

WATCH_SECONDS = 0.5
# A mongod that ran for longer than this has ended anew, and why is said again.
CALM_SECONDS = 10.0


async def keep_running(mongod: PrivateMongod) -> None:
    """Start mongod again whenever it has ended, until this is cancelled. What ends it again and again is logged once.

    For the main thread's event loop alone: see PrivateMongod.restart.
    """
    logged_reason, logged_failure, ended_at = "", "", 0.0
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if mongod.poll() is None:
            continue
        reason = str(mongod.failure())
        if reason != logged_reason or time.monotonic() - ended_at > CALM_SECONDS:
            log.error("%s; starting it again", reason)
        logged_reason, ended_at = reason, time.monotonic()
        try:
            mongod.restart(wait=0)
        except StartError as error:
            if str(error) != logged_failure:
                log.error("%s", error)
            logged_failure = str(error)

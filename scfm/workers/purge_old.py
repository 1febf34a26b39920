"""Purges what is older than the settings have it kept: see ``scfm/privacy/retention.py``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from scfm.clock import now
from scfm.privacy.retention import Retention
from scfm.workers.periodic_job import PeriodicJob

log = logging.getLogger("scfm.privacy")


class PurgeOld(PeriodicJob):
    name = "purge what is old"
    pause_seconds = 6 * 3600.0
    # A start has other things to do first.
    first_pause_seconds = 60.0

    def __init__(self, retention: Retention, days: Mapping[str, int]) -> None:
        """DAYS: by kind, for how many days it is kept; 0 is for ever."""
        super().__init__()
        self._retention = retention
        self._days = {kind: kept for kind, kept in days.items() if kept}

    async def claim(self, limit: int) -> Sequence[None]:
        return await super().claim(limit) if self._days else []

    async def process(self, item: None) -> None:
        for kind, days in self._days.items():
            count = await self._retention.purge(kind, now() - timedelta(days=days))
            if count:
                log.info("retention: %d %s of more than %d days ago are purged", count, kind, days)

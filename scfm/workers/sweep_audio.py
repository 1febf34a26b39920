"""Puts in order what a process that died left of audio files: bytes that no file has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

from scfm.clock import now
from scfm.models.audio_content import AUDIO_CONTENTS, SWEEP_AT, AudioContent, sweep_content
from scfm.models.audio_file import AUDIO_FILES, CONTENT_HOLDER
from scfm.storage.store import Store
from scfm.workers.runner import Job

AUDIO_SWEEP_SECONDS = 60.0


class SweepAudio(Job):
    """Done twice, or by two processes at once, a sweep does no more than once, so it needs no lease."""

    name = "sweep after audio files"
    slots = 2

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due = time.monotonic()

    async def claim(self, limit: int) -> Sequence[AudioContent]:
        if time.monotonic() < self._due:
            return []
        due = {SWEEP_AT: {"$lte": now()}}
        found = await self._store.all_tenants.find(AUDIO_CONTENTS, due, sort=[(SWEEP_AT, 1)], limit=limit)
        if not found:
            self._due = time.monotonic() + AUDIO_SWEEP_SECONDS
        return cast(Sequence[AudioContent], found)

    async def process(self, item: AudioContent) -> None:
        await sweep_content(self._store.for_account(item["account_id"]), item, AUDIO_FILES.collection, CONTENT_HOLDER)

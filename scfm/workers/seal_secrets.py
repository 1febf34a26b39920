"""Seals secrets that are stored in the clear, as an older version stored them."""

from __future__ import annotations

import logging

from scfm.models.stored_secrets import Sealed, seal_again
from scfm.runtime.secret_box import SecretBox
from scfm.storage.store import Store
from scfm.workers.periodic_job import PeriodicJob

log = logging.getLogger("scfm.work")


class SealSecrets(PeriodicJob):
    name = "seal secrets"
    # An older version that runs beside this one may store another.
    pause_seconds = 600.0

    def __init__(self, store: Store, sealed: Sealed, box: SecretBox) -> None:
        super().__init__()
        self._store = store
        self._sealed = sealed
        self._box = box

    async def process(self, item: None) -> None:
        done = await seal_again(self._store, self._sealed, self._box, only_clear=True)
        if done.sealed:
            log.info("secrets that were stored in the clear and are sealed now: %d", done.sealed)

"""Makes a backup every so often, in a folder that keeps the newest ones.

The folder itself tells what is due: each backup's name has the moment from which on it lacks what was acknowledged.
So a restart changes nothing, and of several processes with the same folder one makes each backup.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scfm.backups.errors import BackupError
from scfm.backups.make_backup import BackupOptions, MadeBackup, make_backup
from scfm.backups.passphrase import read_passphrase
from scfm.backups.target import part_of
from scfm.clock import iso, now
from scfm.errors import Unavailable
from scfm.runtime import metrics
from scfm.runtime.file_lock import FileLock
from scfm.runtime.outage import Outage
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.runner import Job

log = logging.getLogger("scfm.backup")

NAME_TIME = "%Y%m%dT%H%M%SZ"
# Within a backup: for each second of work one of rest, so that callers do not wait.
BACKUP_REST = 1.0
# One backup has ended before the next is due: it begins this much sooner, and so many times as long as one took.
LEAD_SECONDS, LEAD = 1.0, 1.5
# After one that failed; and how often another process is looked at that has the folder.
FAILED_BACKUP_SECONDS, LOCKED_BACKUP_SECONDS = 15.0, 1.0
# Another server's clock may be ahead by so much. What is dated later is from before the clock was set back.
MAX_AHEAD = timedelta(minutes=1)


class ScheduledBackup(Job):
    """Makes a backup so often that the newest lacks no more than the last BACKUP_EVERY seconds.

    ``last`` is the moment from which on the newest lacks what was acknowledged, None before the first.
    """

    name = "back up"
    slots = 1

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._every = float(settings.backup_every)
        self._folder = Path(settings.backup_dir)
        self._name = re.compile(rf"scfm-{re.escape(settings.mongodb_database)}-([0-9]{{8}}T[0-9]{{6}}Z)\.backup")
        self._took = 0.0
        self._looks_from = time.monotonic()
        self._outage = Outage("no backup could be made", "backups are made again", quiet=0.0)
        self._warned = False
        self.last: datetime | None = None
        metrics.BACKUP_INTERVAL.set(self._every)

    async def claim(self, limit: int) -> Sequence[None]:
        if not self._every or time.monotonic() < self._looks_from:
            return []
        self._found(await asyncio.to_thread(self._newest))
        wait = self._wait()
        self._looks_from = time.monotonic() + max(0.0, wait)
        self.next_claim_in = wait if wait > 0 else math.inf
        return [None] if wait <= 0 else []

    async def process(self, item: None) -> None:
        self._looks_from = time.monotonic() + FAILED_BACKUP_SECONDS
        try:
            with self._locked() as mine:
                if not mine:
                    self._looks_from = time.monotonic() + LOCKED_BACKUP_SECONDS
                    return
                self._found(await asyncio.to_thread(self._newest))
                if self._wait() > 0:
                    return
                # Files are removed in threads: a file system may take long to free large ones.
                await asyncio.to_thread(self._remove_cut_off)
                made = await self._make()
                await asyncio.to_thread(self._remove_old)
        except (BackupError, Unavailable, OSError) as error:
            since = f"the newest is of {iso(self.last)}" if self.last else "there is none yet"
            self._outage.failed(f"{error}; {since}")
        else:
            self._took = made.seconds
            self._looks_from = time.monotonic()
            self._outage.answered()
            log.info("backup %s: %d documents, %d bytes, %.1f s", made.path, made.documents, made.size, made.seconds)

    async def _make(self) -> MadeBackup:
        settings, moment = self._settings, now()
        passphrase = read_passphrase(settings.backup_passphrase, settings.backup_passphrase_file)
        name = f"scfm-{settings.mongodb_database}-{moment.strftime(NAME_TIME)}.backup"
        made = await make_backup(self._store, self._folder / name, BackupOptions(passphrase, rest=BACKUP_REST))
        self._found(moment)
        return made

    def _found(self, newest: datetime | None) -> None:
        self.last = newest
        metrics.BACKUP_TIMESTAMP.set(newest.timestamp() if newest else 0.0)

    def _wait(self) -> float:
        """In how many seconds the next backup is to begin, so that it has ended when it is due; 0 or less for now."""
        if self.last is None:
            return 0.0
        age = max(0.0, (now() - self.last).total_seconds())
        return self._every - min(self._every / 2, LEAD_SECONDS + LEAD * self._took) - age

    def _backups(self) -> list[tuple[datetime, Path]]:
        """The backups of this database in the folder, the oldest first. Raises OSError.

        Without those that are dated too late: they would stand for backups that are due, and push out the new ones.
        """
        found, latest = [], now() + MAX_AHEAD
        for path in self._folder.iterdir():
            if named := self._name.fullmatch(path.name):
                found.append((datetime.strptime(named[1], NAME_TIME).replace(tzinfo=UTC), path))
        return sorted(one for one in found if one[0] <= latest)

    def _newest(self) -> datetime | None:
        try:
            backups = self._backups()
        except OSError:  # it is not there yet, or will be reported when a backup is to be written
            return None
        return backups[-1][0] if backups else None

    def _remove_old(self) -> None:
        for _, path in self._backups()[: -self._settings.backup_keep]:
            path.unlink(missing_ok=True)

    def _remove_cut_off(self) -> None:
        """Remove what a process that was killed has left of a backup: it may fill the disk. The folder is ours."""
        for path in self._folder.iterdir():
            whole = path.with_name(path.name.removeprefix(".").removesuffix(".part"))
            if self._name.fullmatch(whole.name) and path.name == part_of(whole).name:
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Whether this process has the folder, which is made if need be. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._warn_of_same_disk()
        lock = FileLock.exclusive(self._folder / ".lock")
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.release()

    def _warn_of_same_disk(self) -> None:
        settings = self._settings
        if not self._warned and not settings.mongodb_uri:
            self._warned = True
            with suppress(FileNotFoundError):
                if self._folder.stat().st_dev == settings.data_dir.expanduser().stat().st_dev:
                    log.warning("BACKUP_DIR %s is on the disk that the data folder is on", self._folder)

"""What goes wrong on purpose in a day, for each alert of the rules, and which alerts that may fire."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from scfm.clock import now
from tests.server import wait_until
from tests.torture.carrier import Carrier, Faults
from tests.torture.client import PatientClient
from tests.torture.day.house import DayHouse
from tests.torture.day.prometheus import Prometheus
from tests.torture.day.verdict import Incident

# What went wrong is mended when its alerts fire, or after so many seconds; then they are resolved within that time. A
# process that has no more calls of an account learns after two minutes that its provider is back.
FIRE_SECONDS, RESOLVE_SECONDS = 90.0, 180.0
LOOK_SECONDS = 0.5
# A batch operation of no kind that there is.
OPERATION_ID = 10**12
REFUSED_PATH = "/api/remote_phone_call_events"
# What fills the disk: so much of what is free, but no more than that.
MAX_FILL_BYTES, FILL_SHARE = 8e9, 0.25

Fault = Callable[[], AbstractContextManager[None]]


class Kind(NamedTuple):
    """A method of Incidents, the alerts that it must fire, and those that it may."""

    fault: str
    must: frozenset[str]
    may: frozenset[str] = frozenset()


def _alerts(names: str) -> frozenset[str]:
    return frozenset(f"Scfm{name}" for name in names.split())


# While the provider takes nothing, those calls that are in the air end, and nothing is heard of others.
KINDS: Mapping[str, Kind] = {
    "the provider does not answer": Kind(
        "provider_silent", _alerts("ProviderFailing ProviderErrors CallsStuck"), _alerts("NoEvents CallsUnknown")
    ),
    "webhooks do not arrive": Kind("webhooks_cut", _alerts("NoEvents")),
    "a process is dead": Kind("server_dead", _alerts("Down")),
    "an account is held": Kind("account_held", _alerts("CallsHeld")),
    "the provider refuses accounts": Kind(
        "provider_refuses",
        _alerts("ProviderFailing CallsUnknown"),
        _alerts("NoEvents CallsStuck ProviderErrors"),
    ),
    "the database is away": Kind(
        "database_away", _alerts("DatabaseDown NotReady"), _alerts("NoEvents CallsStuck QueueOld")
    ),
    "the database refuses updates": Kind("updates_refused", _alerts("Errors QueueOld")),
    "the disk is nearly full": Kind("disk_full", _alerts("DiskLow")),
    "webhooks are refused": Kind("webhooks_refused", _alerts("WebhooksRefused")),
    "backups fail": Kind("backups_fail", _alerts("BackupOld")),
    "a process is slow": Kind("server_slow", _alerts("EventLoopLag")),
}


class Incidents:
    """Carries incidents out. ``done`` are those that there were; usual faults are the carrier's at other times."""

    def __init__(
        self, house: DayHouse, carrier: Carrier, prometheus: Prometheus, usual: Faults, fill_bytes: int
    ) -> None:
        self._house, self._carrier, self._prometheus = house, carrier, prometheus
        self._usual, self._fill_bytes = usual, fill_bytes
        self._client = PatientClient(house.servers, house.token)
        self._account_id = self._client.post("/api/accounts")["id"]
        self.done: list[Incident] = []

    def carry_out(self, name: str) -> Incident:
        """Let it go wrong until its alerts fire, mend it, and wait until they are resolved."""
        kind = KINDS[name]
        incident = Incident(name, kind.must, kind.may, began=time.time())
        self.done.append(incident)
        fault: Fault = getattr(self, kind.fault, None) or getattr(self._house, kind.fault)
        fired: set[str] = set()

        def have_fired() -> bool:
            fired.update(self._prometheus.firing())
            return kind.must <= fired

        with fault():
            self._wait(have_fired, FIRE_SECONDS)
        self._wait(lambda: not (kind.must | kind.may) & self._prometheus.firing(), RESOLVE_SECONDS)
        incident.ended = time.time()
        return incident

    @staticmethod
    def _wait(condition: Callable[[], Any], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    @contextmanager
    def provider_silent(self) -> Iterator[None]:
        """Every connection that is to make a call breaks."""
        self._carrier.change_faults(Faults(drop_before=1.0))
        try:
            yield
        finally:
            self._carrier.change_faults(self._usual)

    @contextmanager
    def provider_refuses(self) -> Iterator[None]:
        """Some calls are taken, and neither the answer nor a webhook says so; then all credentials are wrong.

        So nobody can be asked for these calls.
        """
        with self._house.webhooks_cut():
            self._carrier.change_faults(Faults(drop_after=1.0))
            began = len(self._carrier.requests())
            try:
                # At once: half a second later the server asks for them.
                wait_until(lambda: any(one.sid for one in self._carrier.requests()[began:]), every=0.01)
                self._carrier.refuse(True)
                yield
            finally:
                self._carrier.change_faults(self._usual)
                self._carrier.refuse(False)

    @contextmanager
    def account_held(self) -> Iterator[None]:
        """Somebody holds an account, and forgets it."""
        path = f"/api/accounts/{self._account_id}/account_events"
        self._client.repeat(path, {"event": "hold"})
        try:
            yield
        finally:
            self._client.repeat(path, {"event": "release"})

    @contextmanager
    def updates_refused(self) -> Iterator[None]:
        """A batch operation is queued, and nobody can claim it."""
        operation = {
            "_id": OPERATION_ID,
            "account_id": self._account_id,
            "callout_id": None,
            "type": "BatchOperation::Nothing",
            "status": "queued",
            "parameters": {},
            "metadata": {},
            "_work": {"due": now()},
        }
        with self._house.refused_updates("batch_operations"), self._house.database() as client:
            client.scfm.batch_operations.insert_one(operation)
            try:
                yield
            finally:
                client.scfm.batch_operations.delete_one({"_id": OPERATION_ID})

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        """A large file takes the place that was free."""
        path = self._house.folder / "large"
        with path.open("wb") as large:
            os.posix_fallocate(large.fileno(), 0, self._fill_bytes)
        try:
            yield
        finally:
            path.unlink()

    @contextmanager
    def webhooks_refused(self) -> Iterator[None]:
        """Somebody sends webhooks that are not signed."""
        over = threading.Event()

        def send() -> None:
            while not over.wait(LOOK_SECONDS):
                self._house.steady.request("POST", REFUSED_PATH, form={"CallSid": "CA1"}, token="")

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        try:
            yield
        finally:
            over.set()
            sending.join()

    @contextmanager
    def backups_fail(self) -> Iterator[None]:
        """The disk of the backups is not there: in its place is a file."""
        aside = self._house.backups.with_name("aside")
        self._house.backups.rename(aside)
        self._house.backups.touch()
        try:
            yield
        finally:
            self._house.backups.unlink()
            aside.rename(self._house.backups)


def fill_bytes(folder: Path) -> int:
    """How large the file is that fills the disk of a folder: with it, less than half of that is free of what is now.

    Half of it is what ScfmDiskLow takes for the least.
    """
    system = os.statvfs(folder)
    return int(min(MAX_FILL_BYTES, FILL_SHARE * system.f_bavail * system.f_frsize))

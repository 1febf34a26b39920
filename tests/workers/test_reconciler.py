"""Calls of which nobody knows whether they rang: the provider is asked, and nobody is rung a second time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.calls.find_call import find_call
from scfm.calls.move_call import move_call
from scfm.clock import now
from scfm.models.call_placement import UNKNOWN
from scfm.models.call_reports import reported_status
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import CallRejected, ProviderError, Unknown
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import crash_recovery as module
from scfm.workers.reconciler import LOST, MAX_FAILURES, MAX_TIMES_ASKED, MAY_HAVE_RUNG
from tests.workers.background import PARAMS, Background, account, calls_of, pass_over, queued_calls, settings_for
from tests.workers.owned_clock import Wall
from tests.workers.webhooks import webhook

NOWHERE = "http://127.0.0.1:9"
NUMBER = "+15550060000"
ANOTHER = "+15550060001"
GRACE = 20.0
WORDS = "Unable to create record: Server disconnected"
SIDS = ["CA" + digit * 32 for digit in "123"]


class Silent(Provider):
    """Never answers a request for a call, and lists what it was told to list."""

    def __init__(self, *listed: str, failure: Exception | None = None) -> None:
        super().__init__(timeout=5)
        self.listed: Sequence[str] = listed
        self.failure = failure
        self.posted: list[str] = []
        self.asked: list[tuple[str, datetime]] = []

    async def create_call(self, credentials: Credentials, to: str, params: Any, *leaving: Any) -> RemoteCall:
        self.posted.append(to)
        await leaving[0]()
        raise Unknown(WORDS)

    async def list_calls(self, credentials: Credentials, to: str, since: datetime) -> list[RemoteCall]:
        self.asked.append((to, since))
        if self.failure is not None:
            raise self.failure
        return [{"sid": sid, "status": "completed", "direction": "outbound-api"} for sid in self.listed]

    async def fetch_call(self, credentials: Credentials, sid: str) -> RemoteCall:
        return {"sid": sid, "status": "in-progress"}


class House:
    """One process whose provider does not answer."""

    def __init__(self, store: Store, tmp_path: Path, provider: Silent, **settings: Any) -> None:
        self.store = store
        self.provider = provider
        limits = {"unknown_grace_seconds": GRACE, **settings}
        self.jobs = Background(store, settings_for(NOWHERE, tmp_path, **limits), provider)

    async def sends(self, *numbers: str, **fields: Any) -> list[int]:
        """Calls to these numbers that have left and were not answered; their ids."""
        ids = await queued_calls(self.store, await account(self.store), list(numbers), **fields)
        assert await pass_over(self.jobs.dispatcher) == len(numbers)
        return ids

    async def settles(self) -> int:
        """Settle what is due now; how many there were."""
        return await pass_over(self.jobs.reconciler)

    async def waits(self) -> None:
        """As if the time until each call is looked at again had passed."""
        past = {"$set": {"_work.lease": now() - timedelta(seconds=1)}}
        await self.store.all_tenants.update_many("phone_calls", {"_work.lease": {"$exists": True}}, past)

    async def settles_when_due(self) -> None:
        await self.waits()
        await self.settles()


@pytest.fixture
def silent() -> Silent:
    return Silent()


async def only(store: Store) -> Document:
    (call,) = await calls_of(store)
    return call


def shown(call: Document) -> tuple[str, str | None]:
    return call["status"], call["remote_error_message"]


async def test_a_call_that_is_found_has_its_id_and_is_asked_about_later(store: Store, tmp_path: Path) -> None:
    """Even one with a status callback: its reports may have come while nobody listened."""
    house = House(store, tmp_path, Silent(SIDS[0]))
    await house.sends(NUMBER, remote_request_params={**PARAMS, "status_callback": "http://127.0.0.1:9/"})
    await house.settles_when_due()
    call = await only(store)
    assert shown(call) == ("remotely_queued", None)
    assert (call["remote_call_id"], call["remote_direction"]) == (SIDS[0], "outbound-api")
    assert call["remote_queue_response"]["sid"] == SIDS[0] and call["remotely_queued_at"] is not None
    assert "_work" not in call and call["_check"] > now()
    assert house.provider.posted == [NUMBER]


async def test_where_status_checks_are_switched_off_none_is_made(store: Store, tmp_path: Path) -> None:
    house = House(store, tmp_path, Silent(SIDS[0]), status_check="never")
    await house.sends(NUMBER)
    await house.settles_when_due()
    assert "_check" not in await only(store)


async def test_a_call_that_is_not_listed_is_asked_about_twice_with_a_pause_and_then_errored(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    house = House(store, tmp_path, silent)
    await house.sends(NUMBER)
    assert shown(await only(store)) == ("queued", UNKNOWN + WORDS)
    for asked in range(1, MAX_TIMES_ASKED + 1):
        assert await house.settles() == 0, "it must be given time"
        assert (await only(store))["_work"]["lease"] > now() + timedelta(seconds=GRACE / 2)
        assert shown(await only(store)) == ("queued", UNKNOWN + WORDS)
        await house.settles_when_due()
        assert len(silent.asked) == asked
    assert MAX_TIMES_ASKED == 2
    call = await only(store)
    assert shown(call) == ("errored", WORDS)
    assert call["remotely_queued_at"] is not None and "_work" not in call
    assert silent.posted == [NUMBER]


async def test_the_provider_is_asked_for_calls_since_just_before_the_attempt(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    house = House(store, tmp_path, silent)
    began = now()
    await house.sends(NUMBER)
    await house.settles_when_due()
    ((to, since),) = silent.asked
    assert to == NUMBER
    # Clocks differ.
    assert began - timedelta(minutes=2) < since < now() - timedelta(seconds=30)


@pytest.mark.parametrize("failure", [Unknown("HTTP 503"), CallRejected("HTTP 401")])
async def test_a_provider_that_cannot_be_asked_is_asked_for_fifteen_minutes(
    store: Store, tmp_path: Path, failure: ProviderError
) -> None:
    house = House(store, tmp_path, Silent(failure=failure))
    await house.sends(NUMBER)
    for minutes in (0, 7, 14):
        await attempted(store, timedelta(minutes=minutes))
        await house.settles_when_due()
        assert shown(await only(store)) == ("queued", UNKNOWN + failure.message)
    await attempted(store, timedelta(minutes=15, seconds=1))
    await house.settles_when_due()
    status, message = shown(await only(store))
    assert status == "errored" and message is not None
    assert message.startswith(MAY_HAVE_RUNG) and "may have rung" in message and WORDS in message
    assert house.provider.posted == [NUMBER]


async def attempted(store: Store, ago: timedelta) -> None:
    """As if the attempt had been made so long ago."""
    await store.all_tenants.update_many("phone_calls", {}, {"$set": {"_work.attempt.at": now() - ago}})


async def test_a_provider_that_is_back_in_time_settles_the_call(store: Store, tmp_path: Path) -> None:
    house = House(store, tmp_path, Silent(SIDS[0], failure=Unknown("HTTP 503")))
    await house.sends(NUMBER)
    await house.settles_when_due()
    house.provider.failure = None
    await house.settles_when_due()
    assert shown(await only(store)) == ("remotely_queued", None)


async def test_of_two_calls_to_a_number_that_was_rung_once_one_is_matched_and_the_other_errored(
    store: Store, tmp_path: Path
) -> None:
    house = House(store, tmp_path, Silent(SIDS[0]))
    await house.sends(NUMBER, NUMBER)
    for _ in range(MAX_TIMES_ASKED + 2):
        await house.settles_when_due()
    calls = await calls_of(store)
    assert sorted(shown(call) for call in calls) == [("errored", WORDS), ("remotely_queued", None)]
    assert [call["remote_call_id"] for call in calls if call["status"] == "remotely_queued"] == [SIDS[0]]


async def test_calls_to_one_number_are_matched_each_with_its_own(store: Store, tmp_path: Path) -> None:
    house = House(store, tmp_path, Silent(*SIDS))
    await house.sends(NUMBER, NUMBER, NUMBER)
    for _ in range(len(SIDS) + 1):
        await house.settles_when_due()
    assert sorted(call["remote_call_id"] for call in await calls_of(store)) == SIDS


async def test_a_call_that_is_known_already_is_nobody_elses(store: Store, tmp_path: Path) -> None:
    house = House(store, tmp_path, Silent(SIDS[0]))
    await queued_calls(store, await account(store), [NUMBER], remote_call_id=SIDS[0], status="completed", _work={})
    await store.all_tenants.update_many("phone_calls", {}, {"$unset": {"_work": ""}})
    await house.sends(NUMBER)
    for _ in range(MAX_TIMES_ASKED):
        await house.settles_when_due()
    assert [call["status"] for call in await calls_of(store)] == ["completed", "errored"]


async def test_what_is_listed_may_be_a_call_that_is_still_under_way_and_is_left_to_it(
    store: Store, tmp_path: Path
) -> None:
    house = House(store, tmp_path, Silent(SIDS[0]))
    (lost,) = await house.sends(NUMBER)
    (rival,) = await queued_calls(store, await account(store), [NUMBER])
    (scheduled,) = await house.jobs.dispatcher.claim(1)
    assert scheduled.call["_id"] == rival
    await store.all_tenants.update_many("phone_calls", {"_id": lost}, {"$set": {"_work.lease": now()}})
    await house.settles()
    found = {call["_id"]: call for call in await calls_of(store)}
    assert found[lost]["status"] == "queued" and found[lost]["remote_call_id"] is None
    assert found[lost]["_work"]["lease"] > now()


async def test_a_report_settles_a_call_without_a_question(store: Store, tmp_path: Path, silent: Silent) -> None:
    house = House(store, tmp_path, silent)
    await house.sends(NUMBER)
    view = store.for_account((await only(store))["account_id"])
    report = {"CallSid": SIDS[0], "To": NUMBER, "Direction": "outbound-api", "CallStatus": "completed"}
    known = await find_call(view, webhook(view.account_id, report))
    assert known is not None
    await move_call(view, known.call, reported_status(report))
    await house.settles_when_due()
    call = await only(store)
    assert shown(call) == ("completed", None)
    assert call["remote_call_id"] == SIDS[0] and call["remotely_queued_at"] is not None
    assert "_work" not in call
    assert silent.asked == [] and silent.posted == [NUMBER]


async def test_a_report_finds_the_call_to_a_number_that_an_older_version_stored_otherwise(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    house = House(store, tmp_path, silent)
    await house.sends("+789123456789")
    view = store.for_account((await only(store))["account_id"])
    report = {"CallSid": SIDS[0], "To": "+789123456789", "Direction": "outbound-api", "CallStatus": "ringing"}
    known = await find_call(view, webhook(view.account_id, report))
    assert known is not None and known.call["msisdn"] == "+789123456789"


async def test_a_call_that_cannot_be_settled_is_set_aside_with_its_reason_and_blocks_nothing(
    store: Store, tmp_path: Path
) -> None:
    house = House(store, tmp_path, Silent())
    await house.sends(NUMBER, ANOTHER)
    poisoned, sound = [call["_id"] for call in await calls_of(store)]
    await store.all_tenants.update_one("phone_calls", {"_id": poisoned}, {"$set": {"_work.attempt.at": "no time"}})
    for _ in range(MAX_FAILURES):
        await house.waits()
        for item in await house.jobs.reconciler.claim(2):
            try:
                await house.jobs.reconciler.process(item)
            except Exception as error:
                await house.jobs.reconciler.on_error(item, error)
    assert (await only_of(store, sound))["status"] == "errored"
    status, message = shown(await only_of(store, poisoned))
    assert status == "errored" and message is not None
    assert message.startswith(MAY_HAVE_RUNG) and "TypeError" in message


async def only_of(store: Store, number: int) -> Document:
    return await store.all_tenants.get("phone_calls", number)


async def test_what_a_dead_process_had_sent_is_given_time_before_it_is_asked_about(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    dead = House(store, tmp_path, silent)
    await queued_calls(store, await account(store), [NUMBER, ANOTHER])
    sent, _ = await dead.jobs.dispatcher.claim(2)
    dead.jobs.send_journal.append(sent.call["_work"]["attempt"]["id"], sent.call["_id"])
    await dead.jobs.close()
    house = House(store, tmp_path, silent)
    await house.settles()
    left, unsent = await calls_of(store)
    assert silent.asked == []
    assert left["_work"]["lease"] > now() + timedelta(seconds=GRACE / 2)
    assert "attempt" not in unsent["_work"] and unsent["_work"]["due"] <= now()
    for _ in range(MAX_TIMES_ASKED):
        await house.settles_when_due()
    assert shown(await only_of(store, left["_id"])) == ("errored", LOST)


async def test_of_what_a_damaged_log_had_every_call_may_have_rung_and_other_logs_are_settled(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    damaged, folder, sound = (House(store, tmp_path, silent) for _ in range(3))
    account_id = await account(store)
    for dead, number in ((damaged, NUMBER), (folder, ANOTHER), (sound, "+15550060002")):
        await queued_calls(store, account_id, [number])
        assert len(await dead.jobs.dispatcher.claim(1)) == 1
        await dead.jobs.close()
    (tmp_path / "departures" / str(damaged.jobs.send_journal.id)).write_bytes(b"\xff\xfe\n")
    (tmp_path / "departures" / str(folder.jobs.send_journal.id)).unlink()
    (tmp_path / "departures" / str(folder.jobs.send_journal.id)).mkdir()
    house = House(store, tmp_path, silent)
    await house.settles()
    unknown, untouched, unsent = await calls_of(store)
    assert "attempt" not in unsent["_work"] and unsent["_work"]["due"] <= now()
    assert unknown["_work"]["attempt"]["log"] is None
    assert untouched["_work"]["attempt"]["log"] == folder.jobs.send_journal.id
    for _ in range(MAX_TIMES_ASKED):
        await house.settles_when_due()
    for call in (unknown, untouched):
        assert shown(await only_of(store, call["_id"])) == ("errored", LOST)


async def test_what_a_dead_process_asked_of_the_database_last_is_taken_over_too(
    store: Store, tmp_path: Path, silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim on its way to the database is carried out though its process is no more."""
    monkeypatch.setattr(module, "LAST_WORDS_SECONDS", 10.0)
    dead = House(store, tmp_path, silent)
    await dead.jobs.close()
    house = House(store, tmp_path, silent)
    await house.settles()
    await queued_calls(store, await account(store), [NUMBER])
    assert len(await dead.jobs.dispatcher.claim(1)) == 1
    await house.settles()
    assert "attempt" not in (await only(store))["_work"]
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 11)
    await house.settles()
    assert [path.name for path in (tmp_path / "departures").iterdir()] == [house.jobs.send_journal.id]


async def test_a_call_that_a_report_has_moved_on_is_finished_when_its_process_has_died(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    dead = House(store, tmp_path, silent)
    await dead.sends(NUMBER)
    view = store.for_account((await only(store))["account_id"])
    report = {"CallSid": SIDS[0], "To": NUMBER, "Direction": "outbound-api", "CallStatus": "ringing"}
    known = await find_call(view, webhook(view.account_id, report))
    assert known is not None
    await move_call(view, known.call, reported_status(report))
    await dead.jobs.close()
    house = House(store, tmp_path, silent)
    await house.settles()
    await house.settles_when_due()
    call = await only(store)
    assert call["status"] == "in_progress" and "_work" not in call
    assert call["_check"] > now(), "its other reports may have come while nobody listened"


async def test_a_log_from_before_the_machine_was_started_goes_when_no_call_refers_to_it(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    house = House(store, tmp_path, silent)
    await house.sends(NUMBER)
    old = f"0a1b2c3d-0000-0000-0000-000000000000.{'f' * 32}"
    log = tmp_path / "departures" / old
    log.write_text("")
    await store.all_tenants.update_many("phone_calls", {}, {"$set": {"_work.attempt.log": old}})
    await house.settles()
    assert log.exists()
    for _ in range(MAX_TIMES_ASKED):
        await house.settles_when_due()
    assert (await only(store))["status"] == "errored"
    await house.settles()
    assert not log.exists()


async def test_a_call_that_a_living_process_has_yet_to_send_is_left_to_it(
    store: Store, tmp_path: Path, silent: Silent
) -> None:
    """Its claim was answered when the database was away, say: it will queue the call again."""
    owner, other = House(store, tmp_path, silent), House(store, tmp_path, silent)
    await queued_calls(store, await account(store), [NUMBER])
    assert len(await owner.jobs.dispatcher.claim(1)) == 1
    for _ in range(MAX_TIMES_ASKED + 1):
        await other.settles_when_due()
        assert (await only(store))["status"] == "queued"
    assert silent.asked == []
    await owner.settles_when_due()
    assert "attempt" not in (await only(store))["_work"]
    await pass_over(owner.jobs.dispatcher)
    await other.settles_when_due()
    assert [to for to, _ in silent.asked] == [NUMBER], "now it has left"


async def test_a_living_process_is_not_waited_for_for_ever(store: Store, tmp_path: Path, silent: Silent) -> None:
    owner, other = House(store, tmp_path, silent), House(store, tmp_path, silent)
    await queued_calls(store, await account(store), [NUMBER])
    assert len(await owner.jobs.dispatcher.claim(1)) == 1
    await attempted(store, timedelta(minutes=16))
    for _ in range(MAX_TIMES_ASKED):
        await other.settles_when_due()
    assert shown(await only(store)) == ("errored", LOST)


class Suspended(Silent):
    """Has a connection at last, when the lease of the call has run out and somebody has settled it."""

    house: House
    wall: Wall
    asleep = True

    async def create_call(self, credentials: Credentials, to: str, params: Any, *leaving: Any) -> RemoteCall:
        if self.asleep:
            self.asleep = False
            self.wall.set(timedelta(minutes=2))
            assert await self.house.settles() == 1
        await leaving[0]()
        self.posted.append(to)
        return {"sid": SIDS[len(self.posted) - 1], "status": "queued"}


async def test_a_call_that_gets_its_connection_after_its_lease_does_not_leave(
    store: Store, tmp_path: Path, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine may sleep while it connects. Whoever has waited for the lease to end may send the call again."""
    provider = Suspended()
    house = provider.house = House(store, tmp_path, provider)
    provider.wall = wall
    # Whoever settles it did not sleep, so his clock tells him nothing.
    monkeypatch.setattr(house.jobs.clock_watch, "was_set_within", lambda seconds: False)
    await queued_calls(store, await account(store), [NUMBER])
    while not provider.posted:
        await pass_over(house.jobs.dispatcher)
    await pass_over(house.jobs.dispatcher)
    assert provider.posted == [NUMBER]

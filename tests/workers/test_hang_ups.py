"""Calls that a client wants to end: what has not left is canceled, what has is hung up at the provider, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scfm.models.call_hang_up import want_end
from scfm.models.call_hold import hold_or_release
from scfm.models.call_work import new_hang_up
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import AccountRefused, CallRejected, NotSent, ProviderError, Unknown
from scfm.runtime.backoff import Backoff
from scfm.simulator.simulator import Simulator
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import hang_ups, hang_ups_of_many
from scfm.workers.call_withdrawal import CallWithdrawal
from scfm.workers.hang_ups import HangUps
from scfm.workers.hang_ups_of_many import HangUpsOfMany
from tests.workers.background import (
    SID,
    Background,
    account,
    background,
    calls_of,
    carrier,
    eventually,
    pass_over,
    queued_calls,
    settings_for,
)
from tests.workers.mortal import Life, MortalStore, live

NUMBERS = [f"+1555009{number:04}" for number in range(20)]
CALLOUT = 1
AT_ONCE = Backoff(0.0, 0.0, jitter=0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again at once."""
    monkeypatch.setattr(hang_ups, "HANG_UP_BACKOFF", AT_ONCE)
    monkeypatch.setattr(hang_ups_of_many, "OF_MANY_BACKOFF", AT_ONCE)


class Process(Background):
    """A process that ends calls, too."""

    def __init__(self, store: Store, settings: Any, provider: Provider | None = None) -> None:
        super().__init__(store, settings, provider)
        self.withdrawal = CallWithdrawal(store, self.callout_hold, self.send_journal)
        self.hang_ups = HangUps(store, self.provider, self.accounts, self.withdrawal, lease=30.0)
        self.of_many = HangUpsOfMany(store, lambda: None)

    async def cancel(self, call_id: int) -> Document:
        """The event, as it comes to this process; the call as it is answered."""
        call = await self.store.all_tenants.get("phone_calls", call_id)
        wanted = await self.store.all_tenants.update_one("phone_calls", *want_end(call))
        assert wanted is not None
        return await self.withdrawal.withdraw(wanted)

    async def end_all(self) -> None:
        """Until no call, and nobody's calls, are to end."""
        while await pass_over(self.of_many) + await pass_over(self.hang_ups):
            pass


@asynccontextmanager
async def process(store: Store, simulator: Simulator, folder: Path, **settings: Any) -> AsyncIterator[Process]:
    jobs = Process(store, settings_for(simulator.base_url, folder, **settings))
    try:
        yield jobs
    finally:
        await jobs.close()


async def call_of(store: Store, call_id: int) -> Document:
    return await store.all_tenants.get("phone_calls", call_id)


@pytest.mark.parametrize(
    "fields",
    [{"status": "created", "_work": {}}, {}, {"_work": {"held": True}, "callout_id": CALLOUT}],
    ids=["created", "waiting", "held"],
)
async def test_a_call_that_nobody_has_is_canceled_at_once(
    store: Store, tmp_path: Path, fields: dict[str, Any]
) -> None:
    (call_id,) = await queued_calls(store, await account(store), NUMBERS[:1], **fields)
    async with carrier() as simulator, process(store, simulator, tmp_path) as jobs:
        canceled = await jobs.cancel(call_id)
        assert canceled == await call_of(store, call_id)
        assert (canceled["status"], canceled["_canceled_for"]) == ("canceled", "request")
        assert canceled.keys().isdisjoint({"_work", "_hang_up"})
        assert await pass_over(jobs.dispatcher) == await pass_over(jobs.hang_ups) == 0


async def test_a_call_that_this_process_is_about_to_send_is_canceled_and_does_not_leave(
    store: Store, tmp_path: Path
) -> None:
    ids = await queued_calls(store, await account(store), NUMBERS[:3])
    async with carrier() as simulator, process(store, simulator, tmp_path) as jobs:
        claimed = await jobs.dispatcher.claim(3)
        assert (await jobs.cancel(ids[0]))["status"] == "canceled"
        for item in claimed:
            await jobs.dispatcher.process(item)
        assert set(simulator.ledger.accepted_by_number()) == set(NUMBERS[1:3])
        assert [call["status"] for call in await calls_of(store)] == ["canceled", *["remotely_queued"] * 2]


async def test_a_call_that_waits_for_its_connection_does_not_leave_once_it_is_canceled(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (call_id,) = await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator, process(store, simulator, tmp_path) as jobs:
        leave = jobs.dispatcher._leave

        async def cancel_and_leave(*given: Any) -> None:
            assert (await jobs.cancel(call_id))["status"] == "canceled"
            await leave(*given)

        monkeypatch.setattr(jobs.dispatcher, "_leave", cancel_and_leave)
        await pass_over(jobs.dispatcher)
        assert not simulator.ledger.requests
        assert (await call_of(store, call_id))["status"] == "canceled"


async def test_a_call_that_another_process_has_is_canceled_when_it_comes_back_and_else_hung_up(
    store: Store, tmp_path: Path
) -> None:
    ids = await queued_calls(store, await account(store), NUMBERS[:2])
    async with (
        carrier() as simulator,
        process(store, simulator, tmp_path / "one") as one,
        process(store, simulator, tmp_path / "two") as two,
    ):
        leaving, staying = await one.dispatcher.claim(2)
        for call_id in ids:
            assert (await two.cancel(call_id))["status"] == "queued"
        assert await pass_over(two.hang_ups) == 2
        await one.dispatcher.process(leaving)
        await one.dispatcher._hand_back(staying.call)
        await two.end_all()
        first, second = await calls_of(store)
        assert (second["status"], second["_canceled_for"]) == ("canceled", "request")
        assert first["status"] == "remotely_queued" and first["_hang_up"].keys() == {"asked"}
        assert simulator.ledger.accepted_by_number() == {NUMBERS[0]: 1}
        await eventually(lambda: ended(simulator, first["remote_call_id"]))


async def ended(simulator: Simulator, sid: str) -> bool:
    call = simulator.carrier.calls.find(SID, sid)
    return call is not None and call.status in ("canceled", "completed")


async def test_a_call_at_the_provider_is_hung_up_there_and_what_it_became_is_asked_if_nobody_tells(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hang_ups, "TOLD_SECONDS", 0.0)
    (call_id,) = await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator, process(store, simulator, tmp_path) as jobs:
        await pass_over(jobs.dispatcher)
        assert (await jobs.cancel(call_id))["status"] == "remotely_queued"
        await jobs.end_all()
        assert await pass_over(jobs.status_poller) == 1
        call = await call_of(store, call_id)
        assert call["status"] == "canceled" and call["_hang_up"].keys() == {"asked"}


class Telephone(Provider):
    """Takes hang-ups as it is told to, the last for ever, and counts them."""

    def __init__(self, *answers: ProviderError | None) -> None:
        super().__init__(timeout=5)
        self._answers = list(answers)
        self.hung_up: list[str] = []

    async def hang_up(self, credentials: Credentials, sid: str) -> RemoteCall:
        self.hung_up.append(sid)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is not None:
            raise answer
        return {"sid": sid, "status": "in-progress"}


async def talking(store: Store, **fields: Any) -> int:
    told = {"status": "in_progress", "remote_call_id": "CA1", "_hang_up": new_hang_up(), **fields}
    (call_id,) = await queued_calls(store, await account(store), NUMBERS[:1], **told)
    await store.all_tenants.update_one("phone_calls", {"_id": call_id}, {"$unset": {"_work": ""}})
    return call_id


@pytest.mark.parametrize(
    ("failure", "tries"),
    [
        (NotSent("no connection"), 3),
        (NotSent("429", 0.0), 3),
        (Unknown("no answer"), 3),
        (AccountRefused("who are you?"), 3),
        (CallRejected("Call is not in-progress", 21220), 1),
    ],
)
async def test_a_hang_up_is_tried_until_the_provider_has_it_or_says_that_the_call_is_over(
    store: Store, tmp_path: Path, failure: ProviderError, tries: int
) -> None:
    call_id = await talking(store)
    provider = Telephone(failure, failure, None)
    jobs = Process(store, settings_for("http://127.0.0.1:9", tmp_path), provider)
    await jobs.end_all()
    call = await call_of(store, call_id)
    assert len(provider.hung_up) == tries and call["_hang_up"].keys() == {"asked"} and "_check" in call
    assert call["remote_error_message"] == (failure.message if tries > 1 else None)
    await jobs.close()


async def test_of_two_processes_one_hangs_up(store: Store, tmp_path: Path) -> None:
    await talking(store)
    provider = Telephone(None)
    one = Process(store, settings_for("http://127.0.0.1:9", tmp_path / "one"), provider)
    two = Process(store, settings_for("http://127.0.0.1:9", tmp_path / "two"), provider)
    claimed = [*await one.hang_ups.claim(5), *await two.hang_ups.claim(5)]
    assert len(claimed) == 1
    await one.hang_ups.process(claimed[0])
    assert await one.hang_ups.claim(5) == await two.hang_ups.claim(5) == []
    assert len(provider.hung_up) == 1
    await one.close()
    await two.close()


async def test_a_call_that_has_ended_by_itself_is_left_alone(store: Store, tmp_path: Path) -> None:
    call_id = await talking(store, status="completed")
    provider = Telephone(None)
    jobs = Process(store, settings_for("http://127.0.0.1:9", tmp_path), provider)
    await jobs.end_all()
    assert "_hang_up" not in await call_of(store, call_id) and not provider.hung_up
    await jobs.close()


async def test_a_process_that_ends_calls_may_die_at_any_step(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Telephone(None)
    settings = settings_for("http://127.0.0.1:9", tmp_path)
    for step in range(1, 60):
        own = await account(store)
        stopped = {"_id": step, "status": "stopped", "_hang_up": new_hang_up()}
        await store.for_account(own).insert_many("callouts", [stopped])
        (talks,) = await queued_calls(
            store, own, NUMBERS[:1], callout_id=step, status="in_progress", remote_call_id=f"CA{step}"
        )
        life = Life(step)

        async def end(life: Life = life) -> None:
            await Process(MortalStore.within(store, life), settings, provider).end_all()

        await live(end(), life)
        # What a dead process has claimed is free when its lease has run out.
        for name in ("callouts", "phone_calls"):
            due = {"_hang_up.due": {"$exists": True}}
            await store.all_tenants.update_many(name, due, {"$set": {"_hang_up.due": new_hang_up()["due"]}})
        await Process(store, settings, provider).end_all()
        assert f"CA{step}" in provider.hung_up
        assert (await call_of(store, talks))["_hang_up"].keys() == {"asked"}
        assert "_hang_up" not in await store.all_tenants.get("callouts", step)
        if not life.over:
            break
    assert not life.over and step > 10


async def at_provider(store: Store, own: int, numbers: list[str], **fields: Any) -> list[int]:
    told = {"status": "in_progress", "remote_call_id": "CA1", "remote_direction": "outbound-api", **fields}
    ids = await queued_calls(store, own, numbers, **told)
    await store.all_tenants.update_many("phone_calls", {"_id": {"$in": ids}}, {"$unset": {"_work": ""}})
    return ids


@pytest.mark.parametrize("whole_server", [False, True])
async def test_a_hold_that_hangs_up_ends_what_talks_and_keeps_what_waits(
    store: Store, tmp_path: Path, whole_server: bool
) -> None:
    own, other = await account(store), await account(store)
    held = None if whole_server else own
    mine = await at_provider(store, own, NUMBERS[:2])
    theirs = await at_provider(store, other, NUMBERS[2:3], remote_call_id="CA2")
    called_in = await at_provider(store, own, NUMBERS[3:4], remote_direction="inbound", remote_call_id="CA3")
    (waits,) = await queued_calls(store, own, NUMBERS[4:5])
    provider = Telephone(None)
    jobs = Process(store, settings_for("http://127.0.0.1:9", tmp_path), provider)
    await hold_or_release(store.all_tenants, held, "hold", hang_up=True)
    await jobs.end_all()
    assert sorted(provider.hung_up) == ["CA1"] * len(mine) + ["CA2"] * (len(theirs) if whole_server else 0)
    assert (await call_of(store, waits))["status"] == "queued"
    assert (await call_of(store, called_in[0]))["status"] == "in_progress"
    await jobs.close()


async def test_a_call_that_leaves_while_a_hold_hangs_up_is_hung_up_when_it_has(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await queued_calls(store, own, NUMBERS[:1])
    async with carrier() as simulator, process(store, simulator, tmp_path) as jobs:
        (leaving,) = await jobs.dispatcher.claim(1)
        await hold_or_release(store.all_tenants, own, "hold", hang_up=True)
        for _ in range(3):
            assert await pass_over(jobs.of_many) == 1  # it is not done with yet
        await hold_or_release(store.all_tenants, own, "release")
        await jobs.dispatcher.process(leaving)
        assert await pass_over(jobs.of_many) == 0
        # Now one that left before the hold was seen.
        await hold_or_release(store.all_tenants, own, "hold", hang_up=True)
        await jobs.end_all()
        (call,) = await calls_of(store)
        await eventually(lambda: ended(simulator, call["remote_call_id"]))


async def test_a_release_ends_the_hanging_up(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await hold_or_release(store.all_tenants, own, "hold", hang_up=True)
    await hold_or_release(store.all_tenants, own, "release")
    await at_provider(store, own, NUMBERS[:1])
    provider = Telephone(None)
    jobs = Process(store, settings_for("http://127.0.0.1:9", tmp_path), provider)
    await jobs.end_all()
    assert not provider.hung_up
    # A hold that is repeated hangs up, too.
    await hold_or_release(store.all_tenants, own, "hold")
    await jobs.end_all()
    assert not provider.hung_up
    await hold_or_release(store.all_tenants, own, "hold", hang_up=True)
    await jobs.end_all()
    assert provider.hung_up == ["CA1"]
    await jobs.close()


async def test_a_stop_that_hangs_up_ends_what_is_leaving_as_well(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    stopped = {"_id": CALLOUT, "status": "running"}
    await store.for_account(own).insert_many("callouts", [stopped])
    ids = await queued_calls(store, own, NUMBERS[:2], callout_id=CALLOUT)
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as other:
        claimed = await other.dispatcher.claim(2)
        await other.dispatcher.process(claimed[0])
        change = {"$set": {"status": "stopped", "_hang_up": new_hang_up()}}
        await store.all_tenants.update_one("callouts", {"_id": CALLOUT}, change)
        async with process(store, simulator, tmp_path / "here") as jobs:
            assert await pass_over(jobs.of_many) == 1
            assert all("_hang_up" in call for call in await calls_of(store))
            await other.callout_hold.on_event(await store.all_tenants.get("callouts", CALLOUT))
            await other.dispatcher.process(claimed[1])
            await jobs.end_all()
        first, second = [await call_of(store, call_id) for call_id in ids]
        assert second["status"] == "canceled"
        await eventually(lambda: ended(simulator, first["remote_call_id"]))

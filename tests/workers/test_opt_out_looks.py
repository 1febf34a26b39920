"""A number that is opted out: from that moment on no call of the account leaves for it, whoever has the call."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from scfm.calls.find_call import FoundCall
from scfm.calls.flow_replies import save_replies
from scfm.contacts_bulk.bulk_import import import_slots
from scfm.contacts_bulk.import_opt_outs import OptOutImport
from scfm.contacts_bulk.text_lines import Row
from scfm.models.opt_out import OPT_OUTS, opt_out
from scfm.models.outcome import MARK, OPTED_OUT_AT
from scfm.models.stored_documents import EventDocument
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.twiml.replies import Replies
from scfm.workers import opt_out_looks
from scfm.workers.opt_out_looks import OptOutLooks
from scfm.workers.settle_opt_outs import SettleOptOuts
from tests.workers.background import (
    Background,
    account,
    background,
    calls_of,
    carrier,
    pass_over,
    queued_calls,
    settings_for,
)
from tests.workers.mortal import Life, MortalStore, live

NUMBERS = [f"+1555011{number:04}" for number in range(6)]
CALLOUT = 1


async def opts_out(jobs: Background, account_id: int, msisdn: str) -> None:
    """An opt-out, as it comes to this process."""
    await opt_out(jobs.store.for_account(account_id), msisdn, source="api")


async def imports(view: TenantView, msisdn: str) -> None:
    bulk = OptOutImport(view, import_slots())
    await bulk.add(Row(1, msisdn, {}, size=20))
    await bulk.flush()


async def changes_the_number(view: TenantView, msisdn: str) -> None:
    made = await opt_out(view, "+15550119999", source="api")
    assert await OPT_OUTS.replace(view, {**made}, {"msisdn": msisdn})


async def opts_out_in_a_call(view: TenantView, msisdn: str) -> None:
    event = cast(EventDocument, {"_id": 1})
    await save_replies(view, FoundCall.of({"msisdn": msisdn}, None), event, Replies(opted_out=True))


async def by_number(store: Store) -> dict[str, tuple[str, str | None]]:
    return {call["msisdn"]: (call["status"], call["remote_error_message"]) for call in await calls_of(store)}


async def callout(store: Store, own: int, **fields: Any) -> None:
    await store.for_account(own).insert_many("callouts", [{"_id": CALLOUT, "status": "running", **fields}])


OPTED_OUT = ("canceled", "opted out")
LEFT = ("remotely_queued", None)


async def test_a_call_that_was_claimed_before_does_not_leave(store: Store, tmp_path: Path) -> None:
    own, other = await account(store), await account(store)
    await queued_calls(store, own, NUMBERS[:3])
    await queued_calls(store, other, NUMBERS[3:4])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        claimed = await jobs.dispatcher.claim(8)
        assert len(claimed) == 4
        await opts_out(jobs, own, NUMBERS[1])
        await opts_out(jobs, own, NUMBERS[3])  # which is another's
        for item in claimed:
            await jobs.dispatcher.process(item)
    assert await by_number(store) == {**dict.fromkeys(NUMBERS[:4], LEFT), NUMBERS[1]: OPTED_OUT}


async def test_a_call_that_waits_for_its_connection_does_not_leave(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await account(store)
    await queued_calls(store, own, NUMBERS[:1])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        leave = jobs.dispatcher._leave

        async def opt_out_and_leave(*given: Any) -> None:
            await opts_out(jobs, own, NUMBERS[0])
            await leave(*given)

        monkeypatch.setattr(jobs.dispatcher, "_leave", opt_out_and_leave)
        await pass_over(jobs.dispatcher)
        assert not simulator.ledger.requests
        monkeypatch.setattr(jobs.dispatcher, "_leave", leave)
        await pass_over(jobs.dispatcher)
        assert not simulator.ledger.requests
    assert await by_number(store) == {NUMBERS[0]: OPTED_OUT}


@pytest.mark.parametrize("stores", [imports, changes_the_number, opts_out_in_a_call])
async def test_the_process_that_stores_an_opt_out_knows_it_at_once(
    stores: Callable[[TenantView, str], Awaitable[None]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opt_out_looks, "OPT_OUT_CACHE_SECONDS", 60.0)
    own, looks = await account(store), OptOutLooks(store)
    assert not await looks.is_opted_out(own, NUMBERS[0])
    before = time.monotonic()
    await stores(store.for_account(own), NUMBERS[0])
    assert await looks.is_opted_out(own, NUMBERS[0])
    assert looks.changed_since(before) and not looks.changed_since(time.monotonic() + 1)


async def test_another_process_sees_an_opt_out_when_it_looks_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opt_out_looks, "OPT_OUT_CACHE_SECONDS", 0.0)
    own = await account(store)
    await queued_calls(store, own, NUMBERS[:2])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        claimed = await jobs.dispatcher.claim(2)
        another = Store(store.database, store.backend.counted)
        await opt_out(another.for_account(own), NUMBERS[0], source="api")
        for item in claimed:
            await jobs.dispatcher.process(item)
    assert await by_number(store) == {NUMBERS[0]: OPTED_OUT, NUMBERS[1]: LEFT}


async def test_the_calls_of_an_emergency_leave_all_the_same(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await callout(store, own, plan={"audience": {}, "emergency": {"reason": "dam", "severity": "extreme"}})
    await queued_calls(store, own, NUMBERS[:2], callout_id=CALLOUT)
    await queued_calls(store, own, NUMBERS[2:3])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        for number in NUMBERS[:3]:
            await opts_out(jobs, own, number)
        await pass_over(SettleOptOuts(store))
        await pass_over(jobs.dispatcher)
    assert await by_number(store) == {NUMBERS[0]: LEFT, NUMBERS[1]: LEFT, NUMBERS[2]: OPTED_OUT}


async def test_a_number_that_is_opted_out_is_not_kept_by_a_pause(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await callout(store, own)
    await queued_calls(store, own, NUMBERS[:1], callout_id=CALLOUT)
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (claimed,) = await jobs.dispatcher.claim(1)
        await store.all_tenants.update_one("callouts", {"_id": CALLOUT}, {"$set": {"status": "paused"}})
        await opts_out(jobs, own, NUMBERS[0])
        await jobs.dispatcher.process(claimed)
    assert await by_number(store) == {NUMBERS[0]: OPTED_OUT}


async def person(store: Store, own: int, msisdn: str) -> int:
    """Somebody in the callout, with a call that waits; the participation's id."""
    view = store.for_account(own)
    links = {"callout_id": CALLOUT, "contact_id": 1, "msisdn": msisdn, "_version": 1}
    made = await view.insert("callout_participations", links, "callout_participation")
    await queued_calls(store, own, [msisdn], callout_id=CALLOUT, callout_participation_id=made["_id"])
    return int(made["_id"])


async def test_what_a_process_has_claimed_is_settled_once_it_has_put_it_back(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await callout(store, own)
    await person(store, own, NUMBERS[0])
    settling = SettleOptOuts(store)
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (claimed,) = await jobs.dispatcher.claim(1)
        await opt_out(store.for_account(own), NUMBERS[0], source="api")
        assert await pass_over(settling) == 1
        assert await store.all_tenants.exists("opt_outs", {"_settle_from": {"$exists": True}})
        # It looked before the opt-out, and holds the call.
        await jobs.dispatcher._placements.record_blocked(claimed.call, "paused")
        await store.all_tenants.update_many("opt_outs", {}, {"$set": {"_settle_from": claimed.call["created_at"]}})
        assert await pass_over(settling) == 1
    assert await by_number(store) == {NUMBERS[0]: OPTED_OUT}
    assert not await store.all_tenants.exists("opt_outs", {"_settle_from": {"$exists": True}})


async def test_a_process_that_settles_an_opt_out_may_die_at_any_step(store: Store) -> None:
    for step in range(1, 60):
        own = await account(store)
        await store.all_tenants.remove("callouts", {})
        await callout(store, own)
        participation = await person(store, own, NUMBERS[0])
        await opt_out(store.for_account(own), NUMBERS[0], source="api")
        life = Life(step)

        async def settle(life: Life = life) -> None:
            await pass_over(SettleOptOuts(MortalStore.within(store, life)))

        await live(settle(), life)
        # Its lease has run out.
        due = {"account_id": own, "_settle_from": {"$exists": True}}
        made: Document = (await store.for_account(own).find("opt_outs", {}))[0]
        await store.all_tenants.update_many("opt_outs", due, {"$set": {"_settle_from": made["created_at"]}})
        await pass_over(SettleOptOuts(store))
        (call,) = await store.for_account(own).find("phone_calls", {})
        assert (call["status"], call["remote_error_message"]) == OPTED_OUT
        found = await store.all_tenants.get("callout_participations", participation)
        assert found[OPTED_OUT_AT] and found[MARK]
        assert not await store.for_account(own).exists("opt_outs", {"_settle_from": {"$exists": True}})
        if not life.over:
            break
    assert not life.over and step > 5

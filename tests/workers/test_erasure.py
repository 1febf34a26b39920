"""A person who is erased is nowhere any more, is not called, and is counted as before; whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from scfm.clock import now
from scfm.errors import StartError
from scfm.models import idempotency
from scfm.models.account_setup import command_scope
from scfm.models.audited_change import record_change
from scfm.models.contact import CONTACTS
from scfm.models.doomed_recording import DOOMED_RECORDINGS
from scfm.models.erasure_record import ERASURES, begin_erasure, request_erasure
from scfm.models.opt_out import OPT_OUTS, SETTLE_FROM, opt_out
from scfm.models.opt_out_digest import OptOutDigests
from scfm.models.outcome import MARKED
from scfm.models.stored_documents import CALLS, CONTACT_COLLECTION, EVENT_COLLECTION, PARTICIPATIONS
from scfm.models.webhook_delivery import DELIVERY_COLLECTION
from scfm.privacy.erasure import Eraser
from scfm.privacy.erasure_log import Erased, append_erased, erase_again
from scfm.results.callout_statistics import CALLOUT_TALLY
from scfm.results.people import people_query
from scfm.runtime.secret_box import SecretBox, new_key
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.bring_back_opt_outs import BringBackOptOuts
from scfm.workers.erase_contacts import EraseContacts
from scfm.workers.opt_out_looks import OptOutLooks
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.outcome_repair import OutcomeRepair
from tests.workers.background import account, pass_over
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.people import SENT, call, callout, insert, plan

NUMBER, OTHER = "+85512345678", "+85599999999"
# What nobody may find any more, wherever it was.
TRACES = (NUMBER[1:], "Sokha", "RE0123", "needs a boat", "CA77", "345678")
RECORDING = "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE0123"
BOX = SecretBox.of_keys(new_key())
DATA_DIR = Path(tempfile.mkdtemp(prefix="scfm-erasures-"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scfm.privacy.erasure.SWEEP_DELAY", timedelta(0))
    monkeypatch.setattr("scfm.privacy.erasure.CALL_ENDS_SECONDS", 0.0)
    monkeypatch.setattr("scfm.models.erasure_record.ERASURE_LEASE", timedelta(0))
    monkeypatch.setattr("scfm.workers.erase_contacts.ERASURE_LEASE", timedelta(0))
    monkeypatch.setattr("scfm.workers.outcome_keeper.MAX_GATHER_SECONDS", 0.0)


def person(number: int, callout_id: int, contact_id: int, msisdn: str, **fields: Any) -> Document:
    return {"_id": number, "callout_id": callout_id, "contact_id": contact_id, "msisdn": msisdn, **fields}


def their_call(number: int, contact_id: int, msisdn: str, status: str, **fields: Any) -> Document:
    of_person = {"callout_participation_id": number, "callout_id": 1, "contact_id": contact_id, "msisdn": msisdn}
    return {**call(number, status, **fields), **of_person}


async def populate(store: Store, *, opted_out: bool = False, status: str = "completed") -> int:
    """A person with a past, in two callouts, and another one; the account's id."""
    account_id = await account(store)
    view = store.for_account(account_id)
    scope = command_scope(store, {"_id": account_id, "permissions": []}, "test")
    for number, msisdn, name in ((1, NUMBER, "Sokha"), (2, OTHER, "Dara")):
        contact = {"_id": number, "msisdn": msisdn, "metadata": {"name": name}}
        await insert(store, account_id, "contacts", contact)
        await record_change(scope, CONTACTS, "create", None, contact)
    await insert(store, account_id, "callouts", callout(plan=plan()), {**callout(), "_id": 2})
    answers = {"needs": {"recording_url": RECORDING, "seconds": 4}, "said": "needs a boat"}
    await insert(
        store,
        account_id,
        PARTICIPATIONS,
        person(1, 1, 1, NUMBER, answers=answers, metadata={"name": "Sokha"}),
        person(2, 1, 2, OTHER, answers={}),
        person(3, 2, 1, NUMBER, answers={}),
        person(4, 2, 2, OTHER, answers={}),
    )
    told = {
        **SENT,
        "remote_call_id": "CA77",
        "remote_queue_response": {"to": NUMBER, "sid": "CA77"},
        "remote_request_params": {"twiml": "Hello Sokha"},
        "metadata": {"call_flow_data": {"f": {"x": "Sokha"}}},
        "remote_error_message": f"to {NUMBER[1:]}",
        "duration": 9,
    }
    await insert(
        store,
        account_id,
        CALLS,
        their_call(1, 1, NUMBER, status, **told),
        their_call(2, 2, OTHER, "busy", **SENT),
    )
    details = {"To": NUMBER, "CallSid": "CA77", "RecordingUrl": RECORDING}
    event = {"_id": 1, "phone_call_id": 1, "contact_id": 1, "callout_id": 1, "callout_participation_id": 1}
    await insert(store, account_id, EVENT_COLLECTION, {**event, "details": details, "remote_call_id": "CA77"})
    sent = {"type": "participation.settled", "timestamp": "", "data": {"msisdn": NUMBER, "metadata": {"n": "Sokha"}}}
    told = {"webhook_endpoint_id": 1, "event_type": sent["type"], "status": "delivered", "next_attempt_at": None}
    attempt = {"at": now(), "response_code": 200, "error": None, "duration": 0.1, "answer": f"thanks for {NUMBER}"}
    await insert(
        store,
        account_id,
        DELIVERY_COLLECTION,
        {**told, "_id": 1, "webhook_id": "evt_1", "attempts": [attempt], "_body": json.dumps(sent)},
        {**told, "_id": 2, "webhook_id": "evt_2", "attempts": [], "_body": json.dumps(sent)},
    )
    if opted_out:
        await opt_out(view, NUMBER, source="flow", reason="Sokha said so")
    keys = idempotency.IdempotencyKeys()
    request = await keys.begin(view, "a key", b"")
    await keys.end(view, request, idempotency.ReplayedAnswer(201, NUMBER.encode(), "/api/contacts/1"))
    await work_outcomes_out(store)
    return account_id


async def work_outcomes_out(store: Store) -> None:
    repair, keeper = OutcomeRepair(store), OutcomeKeeper(store)
    while await pass_over(repair):
        pass
    while await store.all_tenants.exists(CALLS, MARKED) or await store.all_tenants.exists(PARTICIPATIONS, MARKED):
        await pass_over(keeper)


async def erased(store: Store, account_id: int, passes: int = 9) -> bool:
    """Whether the erasure is done after so many passes at the most."""
    view = store.for_account(account_id)
    for _ in range(passes):
        if await view.exists(ERASURES, {"due": None}):
            return True
        await pass_over(EraseContacts(store, Eraser(store, OptOutDigests(store, BOX), DATA_DIR)))
    return await view.exists(ERASURES, {"due": None})


async def doomed(store: Store, account_id: int) -> list[str]:
    """The recordings that the provider is to delete."""
    found = await store.for_account(account_id).find(DOOMED_RECORDINGS, {})
    return [recording["url"] for recording in found]


async def traces(store: Store) -> Mapping[str, list[str]]:
    """By what tells of the person, the collections in which it still is."""
    found: dict[str, list[str]] = {}
    database: Any = store.database._database
    for name in {*await database.list_collection_names()} - {DOOMED_RECORDINGS}:
        text = json_util.dumps(await database[name].find({}).to_list(None))
        if name == idempotency.COLLECTION:
            text += (await _answers(database)).decode()
        for trace in TRACES:
            if trace in text:
                found.setdefault(trace, []).append(name)
    return found


async def _answers(database: Any) -> bytes:
    records = await database[idempotency.COLLECTION].find({}).to_list(None)
    return b"".join(record["answer"]["body"] for record in records)


async def figures(store: Store, account_id: int) -> Any:
    """What is counted of both callouts."""
    view = store.for_account(account_id)
    tallied = [await view.list_of(people_query(number)).tallied(CALLOUT_TALLY) for number in (1, 2)]
    return [dict(one.counts) for one in tallied]


@pytest.mark.parametrize("opted_out", [False, True])
async def test_nothing_is_left_of_the_person_but_the_counts(store: Store, opted_out: bool) -> None:
    account_id = await populate(store, opted_out=opted_out)
    view = store.for_account(account_id)
    before = [await view.get(PARTICIPATIONS, number) for number in (1, 2, 4)]
    assert set(await traces(store)) >= set(TRACES[:5])
    scope = command_scope(store, {"_id": account_id, "permissions": []}, "test")
    await request_erasure(scope, 1)
    assert await erased(store, account_id)
    assert await traces(store) == {}
    assert await doomed(store, account_id) == [RECORDING]
    await work_outcomes_out(store)
    after = [await view.get(PARTICIPATIONS, number) for number in (1, 2, 4)]
    counted = ("outcome", "outcome_reason", "attempts", "_calls", "_duration")
    assert [[one.get(name) for name in counted] for one in before] == [
        [one.get(name) for name in counted] for one in after
    ]
    # Who was still to be called for the other callout, will not be.
    third = await view.get(PARTICIPATIONS, 3)
    assert (third["outcome"], third["outcome_reason"]) == ("excluded", "opted_out")
    assert not await view.exists(CONTACT_COLLECTION, {"_id": 1})
    assert (await view.get(CONTACT_COLLECTION, 2))["metadata"] == {"name": "Dara"}
    assert after[1]["contact_id"] == 2 and (await view.get(CALLS, 2))["msisdn"] == OTHER
    for delivery in await view.find(DELIVERY_COLLECTION, {}):
        assert json.loads(delivery["_body"]) == {
            "type": "participation.settled",
            "timestamp": "",
            "data": {"erased": True},
        }
    (event,) = await view.find("audit_events", {"action": "erase"})
    assert event["subject"] == {"type": "contact", "id": 1} and event["changes"] == {}
    (record,) = await view.find(ERASURES, {})
    assert set(record) == {"_id", "account_id", "contact_id", "created_at", "erased_at"}


async def test_who_is_there_again_after_a_restore_is_erased_again(store: Store, tmp_path: Path) -> None:
    account_id = await populate(store)
    view = store.for_account(account_id)
    log = tmp_path / "erasures.jsonl"
    moment = now()
    for number in (1, 5):
        append_erased(tmp_path, Erased(account_id, number, moment + timedelta(days=1)))
    append_erased(tmp_path, Erased(account_id, 2, moment - timedelta(days=9999)))  # its id is another's by now
    assert await erase_again(store, log) == 1
    assert await erased(store, account_id)
    assert await view.exists(CONTACT_COLLECTION, {"_id": 2}) and not await view.exists(CONTACT_COLLECTION, {"_id": 1})
    log.write_text('{"account_id": 1}')
    with pytest.raises(StartError, match="line 1"):
        await erase_again(store, log)
    with pytest.raises(StartError, match="cannot be read"):
        await erase_again(store, tmp_path / "nothing")


async def test_an_opt_out_survives_and_keeps_its_number_from_being_called(store: Store) -> None:
    account_id = await populate(store, opted_out=True)
    view = store.for_account(account_id)
    await begin_erasure(view, 1)
    assert await erased(store, account_id)
    looks = OptOutLooks(store, OptOutDigests(store, BOX))
    assert await looks.is_opted_out(account_id, NUMBER)
    assert await looks.opted_out(account_id, [NUMBER, OTHER]) == {NUMBER}
    assert not await looks.is_opted_out(account_id, OTHER)
    # Another account's is another digest, and another key knows none.
    assert not await looks.is_opted_out(await account(store), NUMBER)
    (kept,) = await view.find("opt_outs", {})
    assert kept["msisdn"].startswith("hmac-") and kept["reason"] is None and kept["source"] == "flow"
    assert OPT_OUTS.show({**kept})["msisdn"] is None


async def test_an_opt_out_has_its_number_again_when_that_is_known_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BringBackOptOuts, "pause_seconds", 0.0)
    account_id = await populate(store, opted_out=True)
    view = store.for_account(account_id)
    await begin_erasure(view, 1)
    assert await erased(store, account_id)
    job = BringBackOptOuts(store, OptOutDigests(store, BOX))
    await pass_over(job)
    (kept,) = await view.find("opt_outs", {})
    assert kept["msisdn"].startswith("hmac-")
    await insert(store, account_id, "contacts", {"_id": 7, "msisdn": NUMBER})
    await pass_over(job)
    (kept,) = await view.find("opt_outs", {})
    assert kept["msisdn"] == NUMBER and SETTLE_FROM in kept
    # Erased once more, and then opted out by number: there is one, and taken away it is lifted.
    await view.remove(ERASURES, {})
    await begin_erasure(view, 7)
    assert await erased(store, account_id)
    again = await opt_out(view, NUMBER, source="api")
    await pass_over(job)
    assert [one["_id"] for one in await view.find("opt_outs", {})] == [again["_id"]]


async def test_who_did_not_opt_out_may_be_called_under_a_new_contact(store: Store) -> None:
    account_id = await populate(store)
    await begin_erasure(store.for_account(account_id), 1)
    assert await erased(store, account_id)
    looks = OptOutLooks(store, OptOutDigests(store, BOX))
    assert not await looks.is_opted_out(account_id, NUMBER)


async def test_a_call_that_goes_on_is_waited_for_and_one_that_waits_is_canceled(store: Store) -> None:
    account_id = await populate(store, status="in_progress")
    view = store.for_account(account_id)
    waiting = {**their_call(3, 1, NUMBER, "queued"), "_work": {"due": now(), "tries": 0}, "callout_id": 2}
    await insert(store, account_id, CALLS, waiting)
    await begin_erasure(view, 1)
    assert not await erased(store, account_id, passes=2)
    canceled = await view.get(CALLS, 3)
    assert canceled["status"] == "canceled" and canceled["remote_error_message"].startswith("not called")
    assert await view.exists(CONTACT_COLLECTION, {"_id": 1})
    ended = {"status": "completed", "_ended": now(), "_settle": 1}
    await view.update_one(CALLS, {"_id": 1}, {"$set": ended})
    assert await erased(store, account_id)
    await work_outcomes_out(store)
    assert (await view.get(PARTICIPATIONS, 1))["outcome"] == "reached"
    assert await traces(store) == {}


async def test_a_call_that_is_claimed_is_waited_for_though_it_is_over(store: Store) -> None:
    """A report came before the answer to its request, which is still to be stored, with the number."""
    account_id = await populate(store)
    view = store.for_account(account_id)
    await view.update_one(CALLS, {"_id": 1}, {"$set": {"_work": {"lease": now() + timedelta(hours=1)}}})
    await begin_erasure(view, 1)
    assert not await erased(store, account_id, passes=2)
    await view.update_one(CALLS, {"_id": 1}, {"$unset": {"_work": ""}})
    assert await erased(store, account_id)


async def test_what_is_made_for_the_person_meanwhile_goes_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = await populate(store)
    view = store.for_account(account_id)
    await begin_erasure(view, 1)
    assert not await erased(store, account_id, passes=1)
    late = {"_id": 9, "phone_call_id": 1, "contact_id": 1, "callout_id": 1, "callout_participation_id": 1}
    await insert(store, account_id, EVENT_COLLECTION, {**late, "details": {"To": NUMBER}, "remote_call_id": "CA77"})
    await insert(store, account_id, PARTICIPATIONS, person(9, 9, 1, NUMBER, answers={}))
    assert await erased(store, account_id)
    assert await traces(store) == {}


async def test_many_are_erased_together_and_one_that_fails_keeps_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = await populate(store)
    view = store.for_account(account_id)
    stop_calls, scans = Eraser._stop_calls, []

    async def fails(eraser: Eraser, view: Any, record: Any) -> None:
        if record["contact_id"] == 2:
            raise ValueError("broken")
        await stop_calls(eraser, view, record)

    async def scan(view: Any, contact_ids: set[int], msisdns: set[str]) -> None:
        scans.append((contact_ids, msisdns))

    for contact_id in (1, 2):
        await begin_erasure(view, contact_id)
    with monkeypatch.context() as patch:
        patch.setattr(Eraser, "_stop_calls", fails)
        await pass_over(EraseContacts(store, Eraser(store, OptOutDigests(store, BOX), DATA_DIR)))
    assert "contact 2 of account" in caplog.text and "broken" in caplog.text and OTHER not in caplog.text
    assert not await view.exists(CONTACT_COLLECTION, {"_id": 1}) and await view.exists(CONTACT_COLLECTION, {"_id": 2})
    monkeypatch.setattr("scfm.privacy.erasure.forget_mentions", scan)
    await pass_over(EraseContacts(store, Eraser(store, OptOutDigests(store, BOX), DATA_DIR)))
    assert scans == [({1, 2}, {NUMBER, OTHER})]
    assert not await view.exists(CONTACT_COLLECTION, {})


async def test_somebody_else_with_the_number_keeps_it(store: Store) -> None:
    """A participation was given another contact's number by hand."""
    account_id = await populate(store)
    view = store.for_account(account_id)
    await insert(store, account_id, PARTICIPATIONS, person(9, 9, 1, OTHER, answers={}))
    await opt_out(view, OTHER, source="api", reason="asked")
    await begin_erasure(view, 1)
    assert await erased(store, account_id)
    (kept,) = await view.find("opt_outs", {})
    assert kept["msisdn"] == OTHER and kept["reason"] == "asked"
    created = await view.find("audit_events", {"subject.id": 2, "action": "create"})
    assert OTHER in str(created[0]["changes"])


# Before which of its writes a process dies: each would take too long here; ``make deaths`` does it.
EVERY = int(os.environ.get("DEATHS_EVERY", "9"))


async def test_wherever_a_process_dies_another_goes_on(store: Store) -> None:
    step, account_id = 1, await populate(store, opted_out=True)
    counted = await figures(store, account_id)
    await wipe(store)
    while True:
        account_id = await populate(store, opted_out=True)
        life = Life(step, of_writes=True)
        mortal = MortalStore.within(store, life)

        async def work(mortal: Store = mortal, of: int = account_id) -> None:
            await begin_erasure(mortal.for_account(of), 1)
            await erased(mortal, of)

        await live(work(), life)
        if await store.all_tenants.exists(ERASURES, {}):
            assert await erased(store, account_id), step
            assert await traces(store) == {}, step
            assert await doomed(store, account_id) == [RECORDING]
            await work_outcomes_out(store)
            # But for the one who was still to be called for the second callout.
            assert (await figures(store, account_id))[0] == counted[0]
        died = life.over
        await wipe(store)
        step += EVERY
        if not died:
            break
    assert step > 2 * EVERY


async def wipe(store: Store) -> None:
    database: Any = store.database._database
    for name in await database.list_collection_names():
        if name != "counters":
            await database[name].delete_many({})

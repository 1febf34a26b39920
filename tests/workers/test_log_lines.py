"""What the background says in the log: a line for what begins and one for what ends, however many calls there are."""

from __future__ import annotations

import logging
import re

import pytest

from scfm.clock import now
from scfm.storage.store import Store
from scfm.workers import callout_ends as module
from scfm.workers.batch_runner import BatchRunner
from scfm.workers.callout_ends import CalloutEnds
from tests.workers.background import account, calls_of, pass_over, queued_calls

NUMBERS = [f"+1555002{number:04}" for number in range(30)]
QUEUE = "BatchOperation::PhoneCallQueue"


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scfm")


async def test_an_operation_is_told_when_it_begins_and_when_it_has_finished(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    own = await account(store)
    await queued_calls(store, own, NUMBERS, status="created")
    moment = now()
    parameters = {"callout_participation_filter_params": {"no_phone_calls_or_last_attempt": "failed"}}
    operation = {"type": QUEUE, "status": "queued", "parameters": parameters, "metadata": {}, "callout_id": None}
    stamps = {"created_at": moment, "updated_at": moment, "_version": 1, "_work": {"due": moment}}
    stored = await store.for_account(own).insert("batch_operations", {**operation, **stamps}, "batch_operation")
    assert await pass_over(BatchRunner(store, 30.0, lambda: None)) == 1
    name = f"batch operation {stored['_id']} of account {own} (PhoneCallQueue, a redial)"
    begun, finished = caplog.messages
    assert begun == f"{name} begins"
    assert re.fullmatch(rf"{re.escape(name)} has finished: 0 phone calls in \d+\.\d s", finished)


async def test_a_callout_is_told_to_have_ended_when_none_of_its_calls_waits_or_goes_on(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "END_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "LOOK_SHARE", 1e9)
    own = await account(store)
    await queued_calls(store, own, NUMBERS, status="completed", callout_id=7)
    await queued_calls(store, own, NUMBERS[:1], status="created", callout_id=7)
    (busy,) = await queued_calls(store, own, NUMBERS[:1], status="in_progress", callout_id=7)
    ends = CalloutEnds(store)
    for call in await calls_of(store):
        ends.sent(call)
    await ends.claim(1)
    assert caplog.messages == []
    await store.all_tenants.update_one("phone_calls", {"_id": busy}, {"$set": {"status": "busy"}})
    for _ in range(3):
        await ends.claim(1)
    line = f"callout 7 of account {own}: no call waits or goes on any more (1 busy, 30 completed)"
    assert caplog.messages == [line]
    # Calls that are queued one by one are not a line each.
    ends.sent({"callout_id": 7, "account_id": own})
    await ends.claim(1)
    assert caplog.messages == [line]

"""Work that cannot be done is set aside after a few tries, where its owner sees why, and holds nothing up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scfm.clock import now
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.batch_operations import operation_links
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.resource import Resource
from scfm.runtime.backoff import Backoff
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import batch_runner, dispatcher
from tests.workers.background import PARAMS, account, background, carrier, eventually, queued_calls, settings_for

SOUND = "+15550070000"
POISONED = [f"+1555007000{number}" for number in range(1, 5)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between two tries are short."""
    monkeypatch.setattr(dispatcher, "ERROR_BACKOFF", Backoff(0.01, 0.05))
    monkeypatch.setattr(batch_runner, "BACKOFF", Backoff(0.01, 0.05))


async def shown(store: Store, resource: Resource, account_id: int) -> list[dict[str, Any]]:
    """The account's documents, as the API shows them."""
    view = store.for_account(account_id)
    return await resource.present(view, await view.find(resource.collection, {}))


async def test_a_call_that_always_raises_is_errored_with_its_reason(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    broken: list[Any] = ["not an object", 7, [["from"]], None]
    for number, params in zip(POISONED, broken, strict=True):
        await queued_calls(store, own, [number], remote_request_params=params)
    await queued_calls(store, own, [SOUND])
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, sweep_seconds=0.02)
        async with background(store, settings) as jobs:
            jobs.runner.start()

            async def none_waits() -> bool:
                return not await store.all_tenants.exists("phone_calls", {"status": "queued"})

            await eventually(none_waits)
            await jobs.runner.stop(patience=5)
        assert [request.to for request in simulator.ledger.requests] == [SOUND]
    calls = {call["msisdn"]: call for call in await shown(store, PHONE_CALLS, own)}
    assert calls[SOUND]["status"] == "remotely_queued"
    for number in POISONED:
        assert calls[number]["status"] == "errored"
        assert calls[number]["remote_error_message"].startswith("Unable to create record: ")


async def test_calls_of_an_account_that_is_gone_hold_up_nobody_elses(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await queued_calls(store, 999, POISONED)
    await queued_calls(store, own, [SOUND])
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, sweep_seconds=0.02)
        async with background(store, settings) as jobs:
            jobs.runner.start()

            async def all_ended() -> bool:
                return not await store.all_tenants.exists("phone_calls", {"status": "queued"})

            await eventually(all_ended)
            await jobs.runner.stop(patience=5)
        assert [request.to for request in simulator.ledger.requests] == [SOUND]
    gone = await store.all_tenants.find("phone_calls", {"account_id": 999})
    assert {(call["status"], call["remote_error_message"]) for call in gone} == {
        ("errored", "Unable to create record: NotFound")
    }


async def test_an_operation_that_always_raises_is_finished_with_its_reason(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    number = await operation(store, own, type="BatchOperation::NoSuchThing")
    another = await operation(store, own, type=operation_links.CREATE, parameters="not an object")
    sound = await operation(store, own, type=operation_links.CREATE, parameters={"remote_request_params": PARAMS})
    async with background(store, settings_for("http://127.0.0.1:9", tmp_path, sweep_seconds=0.02)) as jobs:
        jobs.runner.start()

        async def all_finished() -> bool:
            return not await store.all_tenants.exists("batch_operations", {"status": {"$ne": "finished"}})

        await eventually(all_finished)
        await jobs.runner.stop(patience=5)
    operations = {one["id"]: one for one in await shown(store, BATCH_OPERATIONS, own)}
    assert operations[number]["metadata"]["failure"].startswith("KeyError")
    assert operations[another]["metadata"]["failure"]
    assert operations[sound]["metadata"] == {}


async def operation(store: Store, own: int, **fields: Any) -> int:
    """A batch operation that has just been queued; its id."""
    moment = now()
    common: Document = {"callout_id": None, "parameters": {}, "metadata": {}, "status": "queued", "_version": 1}
    made_at = {"created_at": moment, "updated_at": moment, "_work": {"due": moment}}
    view = store.for_account(own)
    stored = await view.insert("batch_operations", {**common, **made_at, **fields}, "batch_operation")
    return int(stored["_id"])

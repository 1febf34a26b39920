"""The driver's waits for a server: whoever gives one up leaves the driver's locks as they should be."""

from __future__ import annotations

import asyncio

import pytest
from pymongo._asyncio_lock import Condition, Lock
from pymongo.asynchronous import pool, topology

from scfm.storage.driver import DriverClient
from tests.workers.background import eventually

SECONDS = 0.001


@pytest.mark.parametrize("turns", [0, 5])
@pytest.mark.parametrize("module", [pool, topology], ids=["pool", "topology"])
async def test_a_wait_that_is_given_up_when_its_time_is_over_leaves_the_lock_to_others(
    module: object, turns: int
) -> None:
    """As when ``GET /ready`` stops asking, and others look for a server at the same time."""
    assert DriverClient.__name__  # it puts its own waits in place when it is loaded
    lock = Lock()
    condition = Condition(lock)
    begun = False

    async def look_for_a_server() -> None:
        nonlocal begun
        async with lock:
            begun = True
            await vars(module)["_async_cond_wait"](condition, SECONDS)

    async def is_begun() -> bool:
        return begun

    async def is_over() -> bool:
        return not condition._waiters

    looking = asyncio.create_task(look_for_a_server())
    await eventually(is_begun)
    async with lock:
        await eventually(is_over)  # its time is over, and it waits for the lock
        looking.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert not looking.done(), "it has gone on without the lock, and has released that of others"
    with pytest.raises(asyncio.CancelledError):
        await looking
    async with asyncio.timeout(60):
        await lock.acquire()
    lock.release()


async def test_a_wait_tells_whether_it_was_notified_in_time() -> None:
    lock = Lock()
    condition = Condition(lock)

    async def notify() -> None:
        async with lock:
            condition.notify_all()

    async with lock:
        assert not await topology._async_cond_wait(condition, SECONDS)
        assert lock.locked()
        notifying = asyncio.create_task(notify())
        assert await topology._async_cond_wait(condition, 60)
        assert lock.locked()
    await notifying

"""Requests with an Idempotency-Key in an outage: the next try need not wait for the lease of one that failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from scfm.clock import now
from scfm.errors import Conflict, Unreachable
from scfm.models import idempotency
from scfm.models.idempotency import COLLECTION, IdempotencyKeys, IdempotentRequest, ReplayedAnswer
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.workers.background import eventually

ANSWER = ReplayedAnswer(201, b"{}", None)
KEY, CONTENT = "a key", b"a request"


class Outage:
    """While it lasts no write is acknowledged; those that are ``lost`` are not even carried out."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.lasts = False
        self.lost = True
        self.writes = 0
        for name in ("insert", "update_one"):
            patch.setattr(TenantView, name, self._failing(getattr(TenantView, name)))

    def _failing(self, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def failing(*arguments: Any) -> Any:
            if not self.lasts:
                return await write(*arguments)
            self.writes += 1
            if not self.lost:
                await write(*arguments)
            raise Unreachable("it is away")

        return failing


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    monkeypatch.setattr(idempotency, "GIVE_UP_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(idempotency, "REQUEST_LEASE", timedelta(hours=1))  # no lease runs out meanwhile
    return Outage(monkeypatch)


async def tried_again(view: TenantView) -> IdempotentRequest:
    """The next try of the request, by another process, once that is possible."""
    found: list[IdempotentRequest] = []

    async def begun() -> bool:
        try:
            found.append(await IdempotencyKeys().begin(view, KEY, CONTENT))
        except Conflict:
            return False
        return True

    await eventually(begun)
    return found[0]


async def test_a_request_that_failed_in_an_outage_can_be_tried_again_once_that_is_over(
    store: Store, outage: Outage
) -> None:
    view, keys = store.for_account(1), IdempotencyKeys()
    request = await keys.begin(view, KEY, CONTENT)
    outage.lasts = True
    await keys.give_up(view, request)

    async def tried_some_times() -> bool:
        return outage.writes > 3

    await eventually(tried_some_times)
    outage.lasts = False
    again = await tried_again(view)
    assert (again.name, again.is_retry) == (request.name, True)


@pytest.mark.parametrize("step", ["begin", "begin again"])
@pytest.mark.parametrize("lost", [True, False], ids=["not carried out", "carried out"])
async def test_a_beginning_that_was_not_acknowledged_holds_up_no_next_try(
    store: Store, outage: Outage, step: str, lost: bool
) -> None:
    view, keys = store.for_account(1), IdempotencyKeys()
    if step == "begin again":
        await keys.give_up(view, await keys.begin(view, KEY, CONTENT))
    outage.lasts, outage.lost = True, lost
    with pytest.raises(Unreachable):
        await keys.begin(view, KEY, CONTENT)
    outage.lasts = False
    again = await tried_again(view)
    await keys.end(view, again, ANSWER)
    assert (await keys.begin(view, KEY, CONTENT)).answer == ANSWER


async def test_who_gives_up_late_ends_no_lease_of_another(store: Store, outage: Outage) -> None:
    view, keys = store.for_account(1), IdempotencyKeys()
    request = await keys.begin(view, KEY, CONTENT)
    await keys.give_up(view, request)
    again = await tried_again(view)
    await keys.give_up(view, request)
    with pytest.raises(Conflict):
        await keys.begin(view, KEY, CONTENT)
    await keys.give_up(view, again)
    assert (await tried_again(view)).is_retry


async def test_only_so_many_are_given_up_after_an_outage(
    store: Store, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_ABANDONED", 3)
    view, keys = store.for_account(1), IdempotencyKeys()
    requests = [await keys.begin(view, str(number), CONTENT) for number in range(5)]
    outage.lasts = True
    for request in requests:
        await keys.give_up(view, request)
    outage.lasts = False

    async def all_is_done() -> bool:
        return keys._giving_up is not None and keys._giving_up.done()

    await eventually(all_is_done)
    free = await view.find(COLLECTION, {"until": {"$lt": now()}})
    assert {record["_id"] for record in free} == {request.record for request in requests[2:]}


async def test_after_its_end_it_gives_up_nothing(store: Store, outage: Outage) -> None:
    view, keys = store.for_account(1), IdempotencyKeys()
    request = await keys.begin(view, KEY, CONTENT)
    outage.lasts = True
    await keys.give_up(view, request)
    await keys.close()
    await keys.give_up(view, request)
    assert keys._giving_up is not None and keys._giving_up.cancelled()
    outage.lasts = False
    with pytest.raises(Conflict):
        await keys.begin(view, KEY, CONTENT)

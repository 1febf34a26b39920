"""Audit events are kept for as long as a setting says, and no longer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scfm.clock import now
from scfm.models.audit_event import AUDIT_EVENTS
from scfm.models.audit_trail import AuditTrail, Origin, Subject
from scfm.storage.store import Store
from scfm.workers import forget_old
from scfm.workers.forget_old import ForgetOld


async def recorded(store: Store, account_id: int, count: int, age: timedelta) -> None:
    """Events of an account that are so old."""
    trail = AuditTrail(store, Origin(account_id))
    view = store.for_account(account_id)
    for number in range(count):
        found_by = await trail.record(Subject("contact", number + 1, account_id), "create")
        await view.update_one("audit_events", found_by, {"$set": {"created_at": now() - age}})


async def left(store: Store, account_id: int) -> int:
    """How many events an account has, as a list tells it."""
    return await store.for_account(account_id).list_of(AUDIT_EVENTS.query()).count()


async def test_what_is_older_than_is_kept_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forget_old, "MAX_FORGOTTEN", 3)
    for days, count in ((31, 4), (29, 2)):
        for account_id in (1, 2):
            await recorded(store, account_id, count, timedelta(days=days))
    assert [await left(store, one) for one in (1, 2)] == [6, 6]
    for days, counts in ((0, [6, 6]), (32, [6, 6])):
        await ForgetOld(store, days, 30).process(None)
        assert [await left(store, one) for one in (1, 2)] == counts
    await ForgetOld(store, 30, 30).process(None)
    assert [await left(store, one) for one in (1, 2)] == [2, 2]

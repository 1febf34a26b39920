"""The last use of a token is stored once a minute, beside the requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from scfm.errors import Unavailable
from scfm.handlers import token_uses as module
from scfm.handlers.token_uses import TokenUses
from scfm.storage.query import Document
from scfm.storage.store import Store

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Recorder:
    """A store, and its view of all accounts, that remembers what it is told to update, and may be out of reach."""

    def __init__(self) -> None:
        self.written: list[list[tuple[Document, Document]]] = []
        self.failures = 0

    @property
    def all_tenants(self) -> Recorder:
        return self

    async def bulk_update(self, collection: str, updates: list[tuple[Document, Document]]) -> int:
        assert collection == "access_tokens"
        if self.failures:
            self.failures -= 1
            raise Unavailable
        self.written.append(updates)
        return len(updates)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """What time it is: its last."""
    times = [NOON]
    monkeypatch.setattr(module, "now", lambda: times[-1])
    return times


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def used(token_id: int, minute: datetime) -> tuple[Document, Document]:
    return {"account_id": 7, "_id": token_id}, {"$max": {"last_used_at": minute}}


async def record(uses: TokenUses, *token_ids: int) -> None:
    for token_id in token_ids:
        uses.record(7, token_id)
    await uses.close()


async def test_a_minute_is_stored_once_and_tokens_together(recorder: Recorder, clock: list[datetime]) -> None:
    uses = TokenUses(cast(Any, recorder))
    await record(uses, 1, 2, 1)
    clock.append(NOON + timedelta(seconds=59, milliseconds=999))
    await record(uses, 1, 3)
    clock.append(NOON + timedelta(seconds=60))
    await record(uses, 1)
    later = NOON + timedelta(minutes=1)
    assert recorder.written == [[used(1, NOON), used(2, NOON)], [used(3, NOON)], [used(1, later)]]


async def test_what_an_outage_loses_the_next_minute_brings(recorder: Recorder, clock: list[datetime]) -> None:
    uses, recorder.failures = TokenUses(cast(Any, recorder)), 1
    await record(uses, 1)
    clock.append(NOON + timedelta(minutes=1))
    await record(uses, 1)
    assert recorder.written == [[used(1, clock[-1])]]


async def test_a_later_use_that_another_process_has_stored_stays(store: Store) -> None:
    later = NOON + timedelta(minutes=5)
    view = store.for_account(7)
    await view.insert("access_tokens", {"_id": 1, "digest": "a", "last_used_at": later})
    await view.bulk_update("access_tokens", [used(1, NOON)])
    assert (await view.get("access_tokens", 1))["last_used_at"] == later

"""What is left of audio files by a process that died between any two of its writes is put in order by another."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.audio.sound import Sound
from scfm.clock import now
from scfm.models import audio_content
from scfm.models.audio_content import AUDIO_CONTENTS, CONTENT_SWEEP_DELAY, SWEEP_AT, content_of
from scfm.models.audio_file import AUDIO_FILES, create_audio_file, delete_audio_file
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.settings import Settings
from scfm.storage.grid_files import CHUNK_BYTES, CHUNKS, FILES, read_chunk
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers.clock_repair import ClockRepair
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.sweep_audio import SweepAudio
from tests.workers.background import account
from tests.workers.dying_view import DyingView, Killed

SIZE = CHUNK_BYTES + 10
CONTENT = bytes(range(256)) * (SIZE // 256) + bytes(SIZE % 256)
# Those of a sound of two chunks, and of what it was converted to, of one.
WHOLE = {AUDIO_CONTENTS: 1, FILES: 2, CHUNKS: 3}
NOTHING = {AUDIO_CONTENTS: 0, FILES: 0, CHUNKS: 0}


def sound(sha256: str = "a" * 64) -> Sound:
    return Sound("wav", 1.0, sha256, SIZE, io.BytesIO(CONTENT), io.BytesIO(b"phone"))


async def scope_of(store: Store) -> Scope:
    account_id = await account(store)
    return Scope(store.for_account(account_id), Rules(), Client(account_id, 1))


async def stored(store: Store) -> dict[str, int]:
    view = store.all_tenants
    return {name: len(await view.find(name, {}, fields=["_id"])) for name in NOTHING}


async def sweep_an_hour_later(store: Store) -> None:
    """All that is due within an hour is swept."""
    for content in await store.all_tenants.find(AUDIO_CONTENTS, {SWEEP_AT: {"$exists": True}}):
        due = now() - timedelta(seconds=1)
        await store.all_tenants.update_one(AUDIO_CONTENTS, {"_id": content["_id"]}, {"$set": {SWEEP_AT: due}})
    job = SweepAudio(store)
    while items := await job.claim(10):
        for item in items:
            await job.process(item)


async def test_what_is_stored_is_given_back_chunk_by_chunk(store: Store) -> None:
    scope = await scope_of(store)
    file = await create_audio_file(scope, {"name": "flood"}, sound())
    assert await stored(store) == WHOLE
    content = await content_of(scope.view, file["sha256"])
    assert content is not None and content["phone"] is not None
    chunks = [await read_chunk(scope.view, content["original"]["id"], number) for number in range(3)]
    assert chunks == [CONTENT[:CHUNK_BYTES], CONTENT[CHUNK_BYTES:], None]
    assert (content["original"]["bytes"], content["phone"]["bytes"]) == (SIZE, 5)
    await sweep_an_hour_later(store)
    assert await stored(store) == WHOLE
    await delete_audio_file(scope, file["_id"])
    assert await stored(store) == NOTHING


async def test_a_death_at_any_write_of_an_upload_leaves_nothing_behind(store: Store) -> None:
    deaths = 0
    while True:
        scope = await scope_of(store)
        with pytest.MonkeyPatch.context() as patch:
            mortal = DyingView(patch, deaths + 1)
            try:
                await create_audio_file(scope, {"name": "flood"}, sound())
            except Killed:
                deaths += 1
            else:
                break
        kept = len(await scope.view.find(AUDIO_FILES.collection, {}))
        await sweep_an_hour_later(store)
        assert await stored(store) == (WHOLE if kept else NOTHING), mortal.writes
        for file in await scope.view.find(AUDIO_FILES.collection, {}):
            await delete_audio_file(scope, file["_id"])
        assert await stored(store) == NOTHING
    assert deaths >= 8


async def test_a_death_at_any_write_of_a_deletion_leaves_all_or_nothing(store: Store) -> None:
    deaths = 0
    while True:
        scope = await scope_of(store)
        file = await create_audio_file(scope, {"name": "flood"}, sound())
        with pytest.MonkeyPatch.context() as patch:
            DyingView(patch, deaths + 1)
            try:
                await delete_audio_file(scope, file["_id"])
            except Killed:
                deaths += 1
            else:
                break
        kept = len(await scope.view.find(AUDIO_FILES.collection, {}))
        await sweep_an_hour_later(store)
        assert await stored(store) == (WHOLE if kept else NOTHING)
        if kept:
            await scope.view.update_many(AUDIO_FILES.collection, {}, {"$unset": {"_deleting": ""}})
            await delete_audio_file(scope, file["_id"])
        await sweep_an_hour_later(store)
        assert await stored(store) == NOTHING
    assert deaths >= 6


async def test_who_sends_the_bytes_while_their_last_holder_goes_stores_them_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = await scope_of(store)
    first = await create_audio_file(scope, {"name": "first"}, sound())
    remove = audio_content.remove_files

    async def sent_meanwhile(view: TenantView, file_ids: list[str]) -> None:
        monkeypatch.setattr(audio_content, "remove_files", remove)
        await create_audio_file(scope, {"name": "second"}, sound())
        await remove(view, file_ids)

    monkeypatch.setattr(audio_content, "remove_files", sent_meanwhile)
    await delete_audio_file(scope, first["_id"])
    assert await stored(store) == WHOLE
    content = await content_of(scope.view, "a" * 64)
    assert content is not None
    assert await read_chunk(scope.view, content["original"]["id"], 0) == CONTENT[:CHUNK_BYTES]


async def test_of_two_who_store_the_same_bytes_at_once_both_hold_one_content(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = await scope_of(store)
    write = audio_content.write_file

    async def written_twice(view: TenantView, file_id: str, filename: str, source: Any) -> int:
        monkeypatch.setattr(audio_content, "write_file", write)
        await create_audio_file(scope, {"name": "first"}, sound())
        return await write(view, file_id, filename, source)

    monkeypatch.setattr(audio_content, "write_file", written_twice)
    second = await create_audio_file(scope, {"name": "second"}, sound())
    assert await stored(store) == WHOLE
    await delete_audio_file(scope, second["_id"])
    assert await stored(store) == WHOLE


async def test_a_sweep_leaves_what_somebody_has_just_joined(store: Store) -> None:
    scope = await scope_of(store)
    await audio_content.hold_content(scope.view, sound())  # by a process that has died
    read = await scope.view.find_one(AUDIO_CONTENTS, {})
    assert read is not None
    file = await create_audio_file(scope, {"name": "flood"}, sound())
    await SweepAudio(store).process(read)  # type: ignore[arg-type]
    content = await content_of(scope.view, file["sha256"])
    assert content is not None and len(content["holders"]) == 2
    await sweep_an_hour_later(store)
    content = await content_of(scope.view, file["sha256"])
    assert content is not None and len(content["holders"]) == 1


async def test_a_clock_that_was_set_back_neither_forgets_nor_hurries_a_sweep(store: Store, tmp_path: Path) -> None:
    scope = await scope_of(store)
    await audio_content.hold_content(scope.view, sound())  # by a process that has died
    far = {"$set": {SWEEP_AT: now() + timedelta(days=30)}}
    await store.all_tenants.update_many(AUDIO_CONTENTS, {}, far)
    await ClockRepair(store, ClockWatch(), Settings(data_dir=tmp_path), lambda: None).claim(1)
    content = await scope.view.find_one(AUDIO_CONTENTS, {})
    assert content is not None
    assert timedelta(minutes=50) < content[SWEEP_AT] - now() <= CONTENT_SWEEP_DELAY

"""The bytes of audio files. Those of an account with the same bytes share a content, which goes with the last.

A content is ``writing`` while its bytes are stored, then ``ready``, and ``going`` while they are removed; who has it
stands in it (``holders``), so that to join it and to remove it are each one write that compares. A process may die
between any two lines: before each step that another must follow, ``_sweep_at`` says when somebody else is to look
(``sweep_content``).
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime, timedelta
from typing import NotRequired, TypedDict, cast

from scfm.audio.kinds import MP3
from scfm.audio.sound import Sound
from scfm.clock import now
from scfm.errors import Unavailable
from scfm.storage.errors import DuplicateKey
from scfm.storage.grid_files import new_file_id, remove_files, write_file
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

AUDIO_CONTENTS = "audio_contents"
WRITING, READY, GOING = "writing", "ready", "going"
SWEEP_AT = "_sweep_at"
# Longer than a request takes, and than the bytes of a file may take to be stored.
CONTENT_SWEEP_DELAY, MAX_WRITE_SECONDS = timedelta(hours=1), 300.0
MAX_HOLD_TRIES = 20
AUDIO_CONTENT_INDEXES = [
    Index("account_id", "sha256", name="unique_account_id_sha256", unique=True, only={"state": READY}),
    # For who has nothing but a URL.
    Index("sha256"),
    Index(SWEEP_AT, name="to_sweep", only={SWEEP_AT: {"$exists": True}}),
]


class StoredFile(TypedDict):
    """A file in GridFS: its id, and how many bytes it has."""

    id: str
    bytes: int


class AudioContent(TypedDict):
    """A content as it is stored; ``phone``, of a WAV alone: what a phone plays in place of the original."""

    _id: str
    account_id: int
    sha256: str
    state: str
    kind: str
    original: StoredFile
    phone: StoredFile | None
    holders: list[str]
    _sweep_at: NotRequired[datetime]


def played(content: AudioContent) -> StoredFile:
    """What a phone plays of a content."""
    return content["original"] if content["kind"] == MP3 else cast(StoredFile, content["phone"])


async def hold_content(view: TenantView, sound: Sound) -> str:
    """Store the bytes of SOUND, or join those that are stored; the token of this holder. Raises Unavailable."""
    holder = new_file_id()
    for _ in range(MAX_HOLD_TRIES):
        ready = {"sha256": sound.sha256, "state": READY}
        joined: Document = {"$push": {"holders": holder}, "$set": {SWEEP_AT: now() + CONTENT_SWEEP_DELAY}}
        if await view.update_one(AUDIO_CONTENTS, ready, joined):
            return holder
        if await _write(view, sound, holder):
            return holder
    raise Unavailable(f"the audio file {sound.sha256} is stored and removed by too many at a time")


async def _write(view: TenantView, sound: Sound, holder: str) -> bool:
    """Store a content; whether it is there, which it is not where somebody else has stored the same meanwhile."""
    original: Document = {"id": new_file_id(), "bytes": sound.size}
    phone: Document | None = None if sound.phone is None else {"id": new_file_id(), "bytes": 0}
    content_id = secrets.token_hex(12)
    content: Document = {
        "_id": content_id,
        "sha256": sound.sha256,
        "state": WRITING,
        "kind": sound.kind,
        "original": original,
        "phone": phone,
        "holders": [holder],
        SWEEP_AT: now() + CONTENT_SWEEP_DELAY,
    }
    await view.insert(AUDIO_CONTENTS, content)
    try:
        async with asyncio.timeout(MAX_WRITE_SECONDS):
            await write_file(view, original["id"], f"{sound.sha256}-original.{sound.kind}", sound.original)
            if phone is not None and sound.phone is not None:
                phone["bytes"] = await write_file(view, phone["id"], f"{sound.sha256}.{sound.kind}", sound.phone)
    except TimeoutError:
        raise Unavailable("an audio file was not stored in time") from None
    try:
        written = {"_id": content_id, "state": WRITING}
        ready = await view.update_one(AUDIO_CONTENTS, written, {"$set": {"state": READY, "phone": phone}})
    except DuplicateKey:
        await _remove(view, content)
        return False
    if ready is None:  # it was taken for abandoned
        raise Unavailable("an audio file was not stored in time")
    return True


async def announce_release(view: TenantView, sha256: str, holder: str) -> None:
    """A holder may be about to go: have somebody look later, in case this process dies before it has gone."""
    held = {"sha256": sha256, "holders": holder}
    await view.update_one(AUDIO_CONTENTS, held, {"$set": {SWEEP_AT: now() + CONTENT_SWEEP_DELAY}})


async def release_content(view: TenantView, sha256: str, holder: str) -> None:
    """Let a holder go, and the bytes with the last."""
    held = {"sha256": sha256, "holders": holder}
    content = await view.update_one(AUDIO_CONTENTS, held, {"$pull": {"holders": holder}})
    if content is not None and not content["holders"]:
        await _remove(view, content)


async def _remove(view: TenantView, content: Document) -> None:
    """Remove a content, unless somebody has joined it meanwhile."""
    unheld = {"_id": content["_id"], "$or": [{"state": {"$ne": READY}}, {"holders": []}]}
    going = await view.update_one(
        AUDIO_CONTENTS, unheld, {"$set": {"state": GOING, SWEEP_AT: now() + CONTENT_SWEEP_DELAY}}
    )
    if going is None:
        return
    await remove_files(view, [one["id"] for one in (going["original"], going["phone"]) if one is not None])
    await view.remove(AUDIO_CONTENTS, {"_id": content["_id"], "state": GOING})


async def sweep_content(view: TenantView, content: AudioContent, files: str, holder_field: str) -> None:
    """Put in order what was begun an hour ago: let holders go that no document of the collection FILES has.

    HOLDER_FIELD is where such a document has its token.
    """
    if content["state"] != READY:
        await _remove(view, cast(Document, content))
        return
    found = await view.find(files, {holder_field: {"$in": content["holders"]}}, fields=[holder_field], sort=())
    alive = {one[holder_field] for one in found}
    gone = [holder for holder in content["holders"] if holder not in alive]
    as_read = {"_id": content["_id"], SWEEP_AT: content["_sweep_at"]}
    change: Document = {"$pull": {"holders": {"$in": gone}}, "$unset": {SWEEP_AT: ""}}
    swept = await view.update_one(AUDIO_CONTENTS, as_read, change)
    if swept is not None and not swept["holders"]:
        await _remove(view, swept)


async def content_of(view: TenantView, sha256: str) -> AudioContent | None:
    """The content with that SHA-256, which of several accounts may have one each."""
    return cast(AudioContent | None, await view.find_one(AUDIO_CONTENTS, {"sha256": sha256, "state": READY}))

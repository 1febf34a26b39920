"""Keeps what was recorded by phone: fetches it from the provider, and makes it an audio file."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from scfm.audio.sound import MAX_AUDIO_BYTES, Upload, look_at
from scfm.calls.flow_memory import memory
from scfm.clock import now
from scfm.errors import Invalid
from scfm.models.audio_file import create_audio_file
from scfm.models.audio_recording import AUDIO_RECORDINGS, RECORDING_METADATA, AudioRecording
from scfm.models.call_lifecycle import UNDER_WAY, CallStatus
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.providers.client import Provider
from scfm.providers.errors import ProviderError
from scfm.runtime.backoff import Backoff
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.twiml.record_audio import IS_KEPT, RECORDED_AT, RecordAudio
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.claims import claim_due
from scfm.workers.runner import Job

log = logging.getLogger("scfm.audio")

# How long one process has an entry to itself: longer than a fetch and a look at the file take.
RECORDING_LEASE = timedelta(minutes=5)
# The call goes on: it is looked at again so soon. It is over: a late webhook may still say that it is kept.
CALL_PAUSE, AFTER_CALL = timedelta(seconds=2), timedelta(seconds=20)
# A provider has a recording some time after the call; how often it is asked for.
MAX_FETCHES, FETCH_BACKOFF = 12, Backoff(first=2.0, longest=120.0)
# A call that was made and never queued was left by a process that died.
MAX_UNQUEUED = timedelta(hours=1)
NOT_KEPT = "was not kept: nobody pressed 1"


class AudioRecorder(Job):
    """An entry is claimed by its ``due``, which is put off by a lease; what is cut off is done again when it ends."""

    name = "keep recordings"
    slots = 2

    def __init__(
        self,
        store: Store,
        provider: Provider,
        accounts: CallingAccounts,
        folder: Path,
        audio_changed: Callable[[int], None],
    ) -> None:
        """FOLDER has a recording while it is looked at; AUDIO_CHANGED is told which account has one more file."""
        self._store = store
        self._provider = provider
        self._accounts = accounts
        self._folder = folder
        self._audio_changed = audio_changed

    async def claim(self, limit: int) -> Sequence[AudioRecording]:
        return await claim_due(self._store.all_tenants, AUDIO_RECORDINGS, RECORDING_LEASE, limit)

    async def process(self, item: AudioRecording) -> None:
        view = self._store.for_account(item["account_id"])
        found: Any = await view.find_one(CALLS, {"_id": item["_id"]})
        if found is None:
            await view.remove(AUDIO_RECORDINGS, {"_id": item["_id"]})
            return
        call: PhoneCallDocument = found
        remembered = memory(call, RecordAudio.name)
        if remembered.get(IS_KEPT):
            await self._keep(view, item, str(remembered.get(RECORDED_AT)))
        elif call["status"] in UNDER_WAY or _may_be_queued(call):
            await self._look_again(view, item, CALL_PAUSE)
        elif item["tries"] == 0:
            await self._look_again(view, item, AFTER_CALL, tries=1)
        else:
            await self._finish(view, item, {"error": NOT_KEPT})

    async def on_error(self, item: AudioRecording, error: Exception) -> None:
        view = self._store.for_account(item["account_id"])
        await self._finish(view, item, {"error": f"could not be kept: {type(error).__name__}"})

    async def _keep(self, view: TenantView, item: AudioRecording, url: str) -> None:
        with ExitStack() as files:
            file = files.enter_context(tempfile.TemporaryFile(dir=self._folder))
            try:
                credentials = await self._accounts.credentials(item["account_id"])
                content = await self._provider.fetch_recording(credentials, url, MAX_AUDIO_BYTES)
            except ProviderError as error:
                await self._fetch_again(view, item, error)
                return
            file.write(content)
            upload = Upload(file, "", len(content), hashlib.sha256(content).hexdigest())
            try:
                sound = await look_at(upload, item["account_id"], self._folder, files)
            except Invalid as error:
                await self._finish(view, item, {"error": "; ".join(*error.errors.values())})
                return
            request = f"recording of phone call {item['_id']}"
            client = Client(item["account_id"], 0)
            scope = Scope(view, Rules(), client, request=request, is_retry=True)
            for number in count(1):  # the name may have been taken meanwhile
                name = item["name"] if number == 1 else f"{item['name']}-{number}"
                given = {"name": name, "language": item["language"]}
                try:
                    made = await create_audio_file(scope, given, sound, recorded=True)
                    break
                except Invalid as error:
                    if list(error.errors) != ["name"] or number >= 100:
                        raise
        self._audio_changed(item["account_id"])
        log.info("phone call %d of account %d: audio file %d", item["_id"], item["account_id"], made["_id"])
        await self._finish(view, item, {"id": made["_id"], "name": made["name"]})

    async def _fetch_again(self, view: TenantView, item: AudioRecording, error: ProviderError) -> None:
        tries = item["tries"] + 1
        if tries >= MAX_FETCHES:
            await self._finish(view, item, {"error": error.message})
        else:
            await self._look_again(view, item, timedelta(seconds=FETCH_BACKOFF.seconds(tries)), tries)

    async def _look_again(self, view: TenantView, item: AudioRecording, pause: timedelta, tries: int = 0) -> None:
        change = {"due": now() + pause, "tries": tries}
        await view.update_one(AUDIO_RECORDINGS, {"_id": item["_id"]}, {"$set": change})

    async def _finish(self, view: TenantView, item: AudioRecording, outcome: Document) -> None:
        """Say in the call's metadata what became of it, and forget it."""
        told = {"name": item["name"], "language": item["language"], **outcome}
        change: Document = {"$set": {f"metadata.{RECORDING_METADATA}": told}, "$inc": {"_version": 1}}
        await view.update_one(CALLS, {"_id": item["_id"]}, change)
        if "error" in outcome:
            log.warning(
                "phone call %d of account %d: its recording %s", item["_id"], item["account_id"], outcome["error"]
            )
        await view.remove(AUDIO_RECORDINGS, {"_id": item["_id"]})


def _may_be_queued(call: PhoneCallDocument) -> bool:
    """Whether the request that made the call may still be under way."""
    return call["status"] == CallStatus.CREATED and now() - call["created_at"] < MAX_UNQUEUED

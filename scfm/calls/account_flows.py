"""The flow of a call: a registered one, else the version of the account's call flow that the call began with.

A call that has not begun gets the version that was approved for its callout, else the newest. Versions never change,
so their classes are kept; which version is the newest is known as it was at most a moment ago, or since this process
published one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, cast

import orjson

from scfm.calls.flow_memory import memory
from scfm.errors import NotFound, Unavailable
from scfm.models.audio_use import AUDIO_COLLECTION
from scfm.models.call_flow_version import VERSIONS, read_versions
from scfm.models.dial_allow_list import dial_allow_list
from scfm.models.flow_names import FLOW_COLLECTION
from scfm.models.plan_approval import pinned_flow
from scfm.models.stored_documents import CalloutDocument, PhoneCallDocument
from scfm.runtime.offload import offload
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache
from scfm.twiml.application import Unregistered
from scfm.twiml.definition import Definition
from scfm.twiml.definition_flow import DefinitionFlow, definition_flow
from scfm.twiml.definition_state import FLOW_VERSION
from scfm.twiml.flow import Flow, FlowSettings
from scfm.twiml.message import Message
from scfm.twiml.record_audio import RecordAudio
from scfm.twiml.registry import Registry

log = logging.getLogger("scfm.flow")

# What another process has published or changed is known here no later than this.
FLOW_CACHE_SECONDS = 2.0
# Of an account, so many audio files are known by their names to CallFlowLogic::Message.
MAX_AUDIO_FILES = 10_000
# For how long the classes of versions are kept.
CLASS_SECONDS = 3600.0
# What is kept of classes, and of the versions and audio files of all accounts, in bytes; about what a class takes for
# each byte of its definition, and what a name or a number takes with what it stands for.
MAX_CLASS_BYTES, MAX_KEPT_BYTES = 64 << 20, 16 << 20
BYTES_A_DEFINITION_BYTE, BYTES_AN_ITEM = 6, 400


class ChosenFlow(NamedTuple):
    """The flow of a call, and the settings of its turns. ``Unregistered`` stands for one that there is not."""

    flow: type[Flow]
    settings: FlowSettings


@dataclass(frozen=True)
class _Versions:
    """By their numbers, the ids of the documents of a flow's versions; the newest number."""

    ids: Mapping[int, str]
    newest: int


@dataclass(frozen=True)
class _ClassKey:
    account_id: int
    name: str
    version: int
    document_id: str


class AccountFlows:
    """The flows of all accounts. Every method that is awaited raises Unavailable."""

    def __init__(self, store: Store, registry: Registry, settings: FlowSettings) -> None:
        self.registry = registry
        self._store = store
        self._settings = settings
        self._versions = TTLCache(
            self._read_versions,
            FLOW_CACHE_SECONDS,
            weigh=lambda found: BYTES_AN_ITEM * len(found.ids) if found else 0,
            max_bytes=MAX_KEPT_BYTES,
        )
        self._classes = TTLCache(self._make_class, CLASS_SECONDS, weigh=_bytes_of_class, max_bytes=MAX_CLASS_BYTES)
        self._audio = TTLCache(
            self._read_audio,
            FLOW_CACHE_SECONDS,
            weigh=lambda paths: BYTES_AN_ITEM * len(paths),
            max_bytes=MAX_KEPT_BYTES,
        )
        self._dial_allow_lists = TTLCache(self._read_dial_allow_list, FLOW_CACHE_SECONDS)

    async def of_call(
        self,
        account_id: int,
        name: str | None,
        call: PhoneCallDocument | None = None,
        callout: CalloutDocument | None = None,
    ) -> ChosenFlow:
        """The flow NAME of the account, None for the default, in the version that CALL is on, if it has begun.

        One that has not begun gets the version that was approved for its CALLOUT, else the newest.
        The database is asked for none that is registered; of the account's audio files, only for Message.
        """
        if name == RecordAudio.name:
            return ChosenFlow(RecordAudio, self._settings)
        if not name or name in self.registry.flows:
            registered = self.registry.get(name)
            settings = await self._with_audio(account_id) if registered is Message else self._settings
            return ChosenFlow(registered, settings)
        began_with = None if call is None else memory(call, name).get(FLOW_VERSION)
        if began_with is None and (pinned := pinned_flow(callout)) and pinned[0] == name:
            began_with = pinned[1]
        flow = await self._version(account_id, name, began_with if isinstance(began_with, int) else None)
        if flow is None:
            return ChosenFlow(Unregistered, self._settings)
        return ChosenFlow(flow, await self.settings(account_id) if flow.dials else self._settings)

    async def prepare(self, account_id: int, name: str) -> None:
        """Make the class of the newest version before the first call needs it, as far as the database answers."""
        with suppress(Unavailable):
            await self._version(account_id, name, None)

    async def settings(self, account_id: int) -> FlowSettings:
        """The settings of the account's turns, with the numbers that they may dial."""
        return replace(self._settings, dial_allow_list=await self._dial_allow_lists.get(account_id))

    def forget(self, account_id: int | None = None) -> None:
        """This process has changed call flows, audio files or the account: look again."""
        self._versions.forget()
        self._dial_allow_lists.forget(account_id)
        self._audio.forget(account_id)

    async def _version(self, account_id: int, name: str, version: int | None) -> type[DefinitionFlow] | None:
        """The class of a version, the newest for None; None where there is no such thing, or it cannot be read."""
        key = account_id, name
        found = await self._versions.get(key)
        if found is None or (version is not None and version not in found.ids):
            self._versions.forget(key)  # another process may just have published it
            found = await self._versions.get(key)
        number = version if version is not None or found is None else found.newest
        if found is None or number is None or number not in found.ids:
            return None
        return await self._classes.get(_ClassKey(account_id, name, number, found.ids[number]))

    async def _read_versions(self, key: tuple[int, str]) -> _Versions | None:
        account_id, name = key
        view = self._store.for_account(account_id)
        found = await view.find(FLOW_COLLECTION, {"name": name}, fields=[VERSIONS], sort=(), limit=1)
        ids = {one["version"]: one["document"] for flow in found for one in flow[VERSIONS]}
        return _Versions(ids, max(ids)) if ids else None

    async def _make_class(self, key: _ClassKey) -> type[DefinitionFlow] | None:
        stored = await read_versions(self._store.for_account(key.account_id), [key.document_id])
        if key.document_id not in stored:
            return None
        version = stored[key.document_id]
        definition = cast(Definition, version["definition"])
        make = partial(definition_flow, key.name, definition, key.version, version["audio"])
        try:
            return await offload(len(orjson.dumps(definition)), make)
        except Exception:  # what a newer release has published may mean nothing to this one
            log.exception("version %d of call flow %s of account %d", key.version, key.name, key.account_id)
            return None

    async def _with_audio(self, account_id: int) -> FlowSettings:
        return replace(self._settings, audio=await self._audio.get(account_id))

    async def _read_audio(self, account_id: int) -> dict[str, str]:
        """By their names, the paths of the account's audio files."""
        view = self._store.for_account(account_id)
        found = await view.find(AUDIO_COLLECTION, {}, fields=["name", "url"], sort=(), limit=MAX_AUDIO_FILES)
        return {one["name"]: one["url"] for one in found}

    async def _read_dial_allow_list(self, account_id: int) -> tuple[str, ...]:
        try:
            account = await self._store.all_tenants.get("accounts", account_id)
        except NotFound:
            return ()
        return dial_allow_list(account)


def _bytes_of_class(flow: type[DefinitionFlow] | None) -> int:
    return 0 if flow is None else BYTES_A_DEFINITION_BYTE * len(orjson.dumps(flow.definition))

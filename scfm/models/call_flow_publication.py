"""Publishing: a call flow's draft, or an older version, becomes its newest version.

The version's document is stored first, and then one compare-and-set on the flow names it: who dies in between leaves
a document that is no version, and who is overtaken by another change of the flow begins anew.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import timedelta
from typing import Any, NamedTuple

from scfm.clock import now
from scfm.errors import Invalid, Unavailable
from scfm.models.audio_use import confirm_audio
from scfm.models.audited_change import record_change
from scfm.models.call_flow import CALL_FLOWS, IS_REGISTERED
from scfm.models.call_flow_check import CheckedFlow, audio_paths, check_publication
from scfm.models.call_flow_version import VERSION_COLLECTION, VERSIONS, read_versions, version_id
from scfm.models.filters import text
from scfm.models.flow_names import PUBLISHED
from scfm.models.references import DELETION_LOOK_SECONDS, MAX_DELETION_LOOKS, live_ids, not_being_deleted
from scfm.models.scope import Scope
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.twiml.definition_paths import CheckedPaths
from scfm.twiml.flow import FlowSettings

log = logging.getLogger("scfm.flow")

# Older than any request that is under way.
LEFTOVER_AGE = timedelta(hours=1)
# Each is kept with its flow, by two short values.
MAX_VERSIONS = 10_000
MAX_VERSION_DIGITS = 9
PUBLISH = "publish"
NO_VERSION = "is not a version of this call flow"


class ChosenVersion(NamedTuple):
    """A definition with its number, and the paths of its audio files by name; None where they are not settled yet."""

    definition: Document
    audio: dict[str, str] | None
    number: int


async def publish(scope: Scope, flow_id: int, settings: FlowSettings, version: Any = None) -> Document:
    """Make the draft of a flow, or, for a rollback, the definition of one of its versions, its newest version.

    The flow as it then is. SETTINGS are those of the account's turns, with which the definition is tried. A retry of
    an idempotent request gives the flow without publishing it again. Raises NotFound, Invalid, Unavailable.
    """
    view = scope.view
    for _ in range(MAX_DELETION_LOOKS):
        flow = await view.get(CALL_FLOWS.collection, flow_id)
        if not await live_ids(view, CALL_FLOWS.collection, [flow_id]):
            await asyncio.sleep(DELETION_LOOK_SECONDS)
            continue
        if scope.is_retry and await _was_published(scope, flow):
            await record_change(scope, CALL_FLOWS, PUBLISH, flow, flow)
            return flow
        if flow["name"] in scope.rules.flows:
            raise Invalid({"name": [IS_REGISTERED]})
        if len(flow[VERSIONS]) >= MAX_VERSIONS:
            raise Invalid({"base": [f"has too many versions (maximum is {MAX_VERSIONS})"]})
        definition, number = (await chosen_version(scope, flow, version)).definition, len(flow[VERSIONS]) + 1
        checked = await check_publication(view, flow["name"], definition, number, settings)
        stored = await _store_version(scope, flow, checked)
        same_audio = await audio_paths(view, definition) == checked.audio
        kept = same_audio and await confirm_audio(view, checked.audio) is None
        if kept and (published := await _commit(scope, flow, stored["_id"])) is not None:
            _log_paths(scope, flow, number, checked.paths)
            await _remove_leftovers(view, published)
            await record_change(scope, CALL_FLOWS, PUBLISH, flow, published)
            return published
        await view.remove(VERSION_COLLECTION, {"_id": stored["_id"]})
    raise Unavailable(f"call flow {flow_id} is changed by too many at a time")


async def chosen_version(scope: Scope, flow: Document, version: Any = None) -> ChosenVersion:
    """The draft of FLOW, or the version that a client names; raises Invalid for one that is none.

    None and an empty text name the draft, whose number is that of the version that it would become.
    """
    if version is None or version == "":
        return ChosenVersion(flow["definition"], None, len(flow[VERSIONS]) + 1)
    written = text(version) or ""
    number = int(written) if written.isascii() and written.isdigit() and len(written) < MAX_VERSION_DIGITS else 0
    found = version_id(flow, number)
    stored = await read_versions(scope.view, [found]) if found else {}
    if found not in stored:
        raise Invalid({"version": [NO_VERSION]}, {"version": _possible(flow)})
    return ChosenVersion(stored[found]["definition"], stored[found]["audio"], number)


def _possible(flow: Document) -> str:
    newest = flow["version"]
    return "it has none yet: leave version out for the draft" if newest is None else f"from 1 to {newest}"


async def _store_version(scope: Scope, flow: Document, checked: CheckedFlow) -> Document:
    """Store the document of a version that is to be."""
    document: Document = {
        "_id": secrets.token_hex(12),
        "call_flow_id": flow["_id"],
        "definition": checked.definition,
        "audio": checked.audio,
        "published_at": now(),
        "published_by": scope.client.name,
    }
    if scope.request:
        document["_request"] = scope.request
    return await scope.view.insert(VERSION_COLLECTION, document)


async def _commit(scope: Scope, flow: Document, document_id: str) -> Document | None:
    """Name the document as the newest version; None if the flow is not as it was read any more."""
    version = len(flow[VERSIONS]) + 1
    read = flow.get("_version", 1)
    return await scope.view.update_one(
        CALL_FLOWS.collection,
        {"_id": flow["_id"], "_version": read, **not_being_deleted()},
        {
            "$set": {"version": version, "status": PUBLISHED, "updated_at": now(), "_version": read + 1},
            "$push": {VERSIONS: {"version": version, "document": document_id}},
        },
    )


async def _remove_leftovers(view: TenantView, flow: Document) -> None:
    """Remove what processes left that died before they named it, or before they removed it."""
    named = [one["document"] for one in flow[VERSIONS]]
    old = {"$lt": now() - LEFTOVER_AGE}
    leftovers: Document = {"call_flow_id": flow["_id"], "_id": {"$nin": named}, "published_at": old}
    await view.remove(VERSION_COLLECTION, leftovers)


def _log_paths(scope: Scope, flow: Document, version: int, paths: CheckedPaths) -> None:
    whose = flow["_id"], scope.view.account_id, version
    log.info("call flow %d of account %s: published version %d, walked %d paths", *whose, paths.walked)
    if paths.left_out:
        log.info("call flow %d of account %s, version %d: %s", *whose, paths.left_out)


async def _was_published(scope: Scope, flow: Document) -> bool:
    """Whether an earlier try of the same request has published the flow."""
    made = await scope.view.find(VERSION_COLLECTION, {"_request": scope.request, "call_flow_id": flow["_id"]})
    named = {one["document"] for one in flow[VERSIONS]}
    return any(version["_id"] in named for version in made)

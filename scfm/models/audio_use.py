"""What may still play an audio file: as long as there is any, it can be neither deleted nor renamed."""

from __future__ import annotations

from collections.abc import Iterable

from scfm.models.call_flow_version import VERSION_COLLECTION, VERSIONS
from scfm.models.callout_status import COMPLETED
from scfm.models.flow_names import FLOW_COLLECTION
from scfm.models.references import live_ids
from scfm.storage.codec import escape_name
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.twiml.message import message_audio

AUDIO_COLLECTION = "audio_files"


async def what_plays(view: TenantView, name: str) -> str | None:
    """What may still play the audio file NAME, for people; None if nothing may."""
    unfinished = {"status": {"$ne": COMPLETED}, **_names_in_metadata(name)}
    for callout in await view.find("callouts", unfinished, fields=["status", "metadata"]):
        if name in message_audio(callout["metadata"]):
            return f"callout {callout['_id']}, which is {callout['status']}"
    plays: Document = {f"audio.{escape_name(name)}": {"$exists": True}}
    versions = await view.find(VERSION_COLLECTION, plays, fields=["call_flow_id"], sort=())
    flow_ids = {version["call_flow_id"] for version in versions}
    documents = {version["_id"] for version in versions}
    flows = await view.find(FLOW_COLLECTION, {"_id": {"$in": sorted(flow_ids)}}) if flow_ids else []
    for flow in flows:
        for version in flow[VERSIONS]:
            if version["document"] in documents:  # others were left by a publish that came to nothing
                return f"version {version['version']} of call flow {flow['name']}"
    return None


async def confirm_audio(view: TenantView, names: Iterable[str]) -> str | None:
    """Of audio files that something names which has just been stored, one that is gone, or is about to go; or None.

    Who deletes one marks it first, and looks for what names it second; who names one stores that first, and looks for
    the mark second: one of the two sees the other. Raises Unavailable.
    """
    wanted = sorted(set(names))
    found = await view.find(AUDIO_COLLECTION, {"name": {"$in": wanted}}, fields=["name"], sort=())
    ids = {one["name"]: one["_id"] for one in found}
    alive = await live_ids(view, AUDIO_COLLECTION, sorted(ids.values()))
    return next((name for name in wanted if ids.get(name) not in alive), None)


def _names_in_metadata(name: str) -> Document:
    """That ``metadata.audio``, or a value in it, contains the name; whether it is the name says ``message_audio``."""
    audio = "$metadata.audio"
    entries: Document = {"$objectToArray": {"$cond": [{"$eq": [{"$type": audio}, "object"]}, audio, {}]}}
    values: Document = {"$concatArrays": [[audio], {"$map": {"input": entries, "as": "entry", "in": "$$entry.v"}}]}
    text: Document = {"$cond": [{"$eq": [{"$type": "$$value"}, "string"]}, "$$value", ""]}
    has_it: Document = {"$gte": [{"$indexOfCP": [text, {"$literal": name}]}, 0]}
    return {"$expr": {"$anyElementTrue": {"$map": {"input": values, "as": "value", "in": has_it}}}}

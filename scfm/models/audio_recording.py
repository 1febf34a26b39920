"""Audio files that are recorded by phone: somebody is called, and what he keeps becomes an audio file.

A recording is an entry beside its phone call, until the audio file is there, or will never be. A job looks at those
that are ``due`` (workers/audio_recorder.py).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypedDict, cast

from scfm.clock import now
from scfm.models import hints
from scfm.models.audio_file import AUDIO_FILES
from scfm.models.declaration import TAKEN
from scfm.models.draft import Errors
from scfm.models.fields import BLANK, FieldError
from scfm.models.filters import text
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.scope import Scope
from scfm.providers.call_parameters import INSTRUCTIONS
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import CollectionName, Document
from scfm.twiml.flow import WEBHOOK_PATH
from scfm.twiml.record_audio import RecordAudio

AUDIO_RECORDING_INDEXES = (Index("due"),)
# Under this name the call's metadata tell what it records, and what became of it.
RECORDING_METADATA = "audio_file"
FIRST_LOOK = timedelta(seconds=2)
FALLBACK_URL = "fallback_url"
NO_URL = (
    f"must not say what the call does: leave {', '.join((*INSTRUCTIONS, FALLBACK_URL))} out, as it asks this server"
)


class AudioRecording(TypedDict):
    """``_id`` is that of the phone call; ``due``: when it is looked at next; ``tries``: how often that has failed."""

    _id: int
    account_id: int
    name: str
    language: str | None
    due: datetime
    tries: int


AUDIO_RECORDINGS: Final = CollectionName[AudioRecording]("audio_recordings")


async def begin_recording(scope: Scope, given: Document, webhook: str) -> Document:
    """Queue a call to the number in GIVEN that records an audio file; the phone call.

    WEBHOOK is where the provider asks this server what to do. A retry of an idempotent request gives the call that
    the first try made. Raises Invalid, Unavailable.
    """
    name, language = await _read(scope, given, webhook)
    params = given.get("remote_request_params")
    asked = _asked(params, webhook) if isinstance(params, dict) else {}
    # Only this may name the flow.
    naming = replace(scope, rules=replace(scope.rules, flows=scope.rules.flows | {RecordAudio.name}))
    call = await PHONE_CALLS.create(
        naming,
        {"msisdn": given["msisdn"], "remote_request_params": asked},
        callout_id=None,
        call_flow_logic=RecordAudio.name,
        metadata={RECORDING_METADATA: {"name": name, "language": language}},
    )
    entry: Document = {"_id": call["_id"], "name": name, "language": language, "due": now() + FIRST_LOOK, "tries": 0}
    with suppress(DuplicateKey):  # an earlier try of the same request has done it
        await scope.view.insert(AUDIO_RECORDINGS, entry)
    if call["status"] == "created":
        call = await PHONE_CALLS.fire(scope, call["_id"], "queue")
    return call


async def _read(scope: Scope, given: Document, webhook: str) -> tuple[str, str | None]:
    """The name and the language of the audio file; raises Invalid with all that is wrong with the request.

    In a retry the name may be taken by what the first try has recorded.
    """
    errors, values = Errors(), {}
    for field in (one for one in AUDIO_FILES.fields if one.name in ("name", "language")):
        try:
            values[field.name] = field.read(given, None, scope.rules)
        except FieldError as error:
            errors.add(field.name, *error.args)
    named = {"name": values.get("name")}
    if named["name"] and not scope.is_retry and await scope.view.exists(AUDIO_FILES.collection, named):
        errors.add("name", TAKEN, hint=hints.AUDIO_NAME)
    if not (text(given.get("msisdn")) or "").strip():
        errors.add("msisdn", BLANK)
    params = given.get("remote_request_params")
    if isinstance(params, dict) and _leads_elsewhere(scope, params, webhook):
        errors.add("remote_request_params", NO_URL)
    errors.check()
    return cast(str, values["name"]), values["language"]


def _leads_elsewhere(scope: Scope, params: Document, webhook: str) -> bool:
    """Whether the parameters of a call have it ask another server what to say.

    A client may know this server by an address that it does not know itself; where approval is required only WEBHOOK
    counts, as the call is not approved by anybody.
    """
    url, others = params.get("url"), {*INSTRUCTIONS} - {"url"}
    own = url is None or str(url).endswith(WEBHOOK_PATH)
    if scope.client.approval_required:
        own, others = url in (None, webhook), others | {FALLBACK_URL}
    return not own or any(params.get(name) is not None for name in others)


def _asked(params: Document, webhook: str) -> Document:
    """The parameters, with WEBHOOK where they name none."""
    asked = dict(params)
    for name, method in (("url", "method"), ("status_callback", "status_callback_method")):
        if asked.get(name) is None:
            asked |= {name: webhook, method: "POST"}
    return asked

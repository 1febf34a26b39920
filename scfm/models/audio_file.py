"""Audio files: recordings that callouts and call flows play, each under a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from scfm.audio.kinds import AUDIO_TYPES
from scfm.audio.sound import Sound
from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import audio_content, filters, hints, references
from scfm.models.audio_use import AUDIO_COLLECTION, what_plays
from scfm.models.declaration import COMMON_FILTERS, Unique
from scfm.models.fields import BLANK, Field, FieldError, Id, Link, Metadata, Number, Rules, Text, Time
from scfm.models.named_resource import NamedResource
from scfm.models.scope import Scope
from scfm.models.texts import stored_form
from scfm.models.webhook_event import AUDIO_FILE_RECORDED, TO_TELL_INDEX, told_at_first
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

MAX_AUDIO_NAME = 100
# The token with which it holds its content.
CONTENT_HOLDER = "_holder"


@dataclass(frozen=True)
class AudioName(Text):
    """What flows call it; no URL, which is played as well."""

    schema = {"type": "string", "minLength": 1, "maxLength": MAX_AUDIO_NAME, "examples": ["flood-km"]}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        name = stored_form(super().read(given, old, rules) or "")
        if not name:
            raise FieldError(BLANK)
        if len(name) > MAX_AUDIO_NAME:
            raise FieldError(f"is too long (maximum is {MAX_AUDIO_NAME} characters)")
        if not name.isprintable() or re.match("https?://", name):
            raise FieldError("is invalid: it is a word or some, such as flood-km")
        return name


@dataclass(frozen=True)
class Language(Text):
    """The language that is spoken in it: a tag of BCP 47."""

    schema = {"type": ["string", "null"], "pattern": "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$", "examples": ["km"]}

    def read(self, given: Document, old: Any, rules: Rules) -> Any:
        language = (super().read(given, old, rules) or "").strip()
        if language and not re.fullmatch(self.schema["pattern"], language, re.ASCII):
            raise FieldError("is invalid: it is the code of a language, such as km or en-GB")
        return language or None


@dataclass(frozen=True)
class Seconds(Field):
    """A length of time."""

    schema = {"type": "number", "minimum": 0}


class AudioFiles(NamedResource):
    kind = "audio_file"
    collection = AUDIO_COLLECTION
    fields = (
        Id("id"),
        AudioName("name"),
        Language("language"),
        Field("content_type", ""),
        Number("bytes"),
        Seconds("seconds"),
        Field("sha256", ""),
        Field("url", ""),
        Metadata("metadata", {}),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
    )
    unique = (Unique(("account_id", "name"), "name", hint=hints.AUDIO_NAME),)
    filters = {
        **COMMON_FILTERS,
        **{name: filters.text_field(name) for name in ("name", "language", "content_type", "sha256")},
    }
    indexes = (Index("account_id", "_id"), TO_TELL_INDEX)

    async def _use_of(self, view: TenantView, name: str) -> str | None:
        player = await what_plays(view, name)
        return f"{player} may still play it" if player else None


AUDIO_FILES = AudioFiles()


async def create_audio_file(scope: Scope, given: Document, sound: Sound, *, recorded: bool = False) -> Document:
    """Store an audio file, with what the client gave, and its bytes. Raises Invalid, Unavailable.

    That one was AUDIO_FILE_RECORDED by phone is told to webhook endpoints.
    """
    known: Document = {
        "content_type": AUDIO_TYPES[sound.kind],
        "bytes": sound.size,
        "seconds": sound.seconds,
        "sha256": sound.sha256,
        "url": sound.path,
        **(told_at_first(AUDIO_FILE_RECORDED, now()) if recorded else {}),
    }
    holder = await audio_content.hold_content(scope.view, sound)
    try:
        document = await AUDIO_FILES.create(scope, given, **known, **{CONTENT_HOLDER: holder})
    except Invalid:  # whatever else is raised, it may have been created: see ``audio_content.sweep_content``
        await audio_content.release_content(scope.view, sound.sha256, holder)
        raise
    if document[CONTENT_HOLDER] != holder:  # an earlier try of the same request has created it
        await audio_content.release_content(scope.view, sound.sha256, holder)
    return document


async def delete_audio_file(scope: Scope, document_id: int) -> None:
    """Delete an audio file, and its bytes if no other has them. Raises NotFound, Invalid, Unavailable."""
    document = await scope.view.get(AUDIO_FILES.collection, document_id)
    await audio_content.announce_release(scope.view, document["sha256"], document[CONTENT_HOLDER])
    await references.delete(AUDIO_FILES, scope, document_id)
    await audio_content.release_content(scope.view, document["sha256"], document[CONTENT_HOLDER])

"""Audio files: clients send and fetch them, and providers fetch what a phone plays, without a token."""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import ExitStack
from mmap import ACCESS_READ, mmap
from typing import IO, Any

from scfm.audio.kinds import AUDIO_TYPES, MP3
from scfm.audio.sound import MAX_AUDIO_BYTES, Upload, look_at
from scfm.errors import BadRequest, Invalid, NotFound, Overloaded, TooLarge
from scfm.handlers.base import FOREVER, FRESH
from scfm.handlers.client import ClientHandler
from scfm.handlers.collection import CollectionHandler, resource_path
from scfm.handlers.forms import MULTIPART, media_type, nested_fields
from scfm.handlers.idempotency import carry_out, idempotency_key, idempotent, own_view
from scfm.handlers.member import MemberHandler
from scfm.handlers.multipart import Part, multipart_parts
from scfm.handlers.parameter_limits import DEFAULT_LIMITS
from scfm.handlers.parameters import joined_parameters, parse_id
from scfm.handlers.stored_files import StoredFileHandler
from scfm.models.audio_content import content_of, played
from scfm.models.audio_file import AUDIO_FILES, create_audio_file, delete_audio_file
from scfm.models.audio_recording import begin_recording
from scfm.models.fields import BLANK
from scfm.models.phone_call import PHONE_CALLS
from scfm.runtime.offload import offload

# Bytes of a multipart body beside the file.
MAX_BESIDE = 1 << 16
# Bytes that are copied, or added to a digest, at once.
STEP_BYTES = 1 << 18
FILE_HINT = "an audio file: curl -F file=@flood.wav, or --data-binary @flood.wav with the name in the query"
SHA256 = "([0-9a-f]{64})"
AUDIO_ENDING = "(wav|mp3)"


class AudioFilesHandler(CollectionHandler):
    """``GET`` and ``POST /api/audio_files``. What is sent is in a file until it is stored, and never in memory."""

    failure: OSError | None = None
    # A body up to this many times the limit is read and thrown away.
    drained_sizes = 4

    @property
    def _max_body_size(self) -> int:
        return MAX_AUDIO_BYTES + MAX_BESIDE if self.request.method == "POST" else super()._max_body_size

    async def admit(self) -> None:
        await super().admit()
        self.files = ExitStack()
        if self.request.method == "POST":
            self.body = self._temporary_file()

    def data_received(self, chunk: bytes) -> Any:
        if self.request.method != "POST":
            return super().data_received(chunk)
        self.size += len(chunk)
        if self.size <= self._max_body_size and self.failure is None:
            try:
                self.body.write(chunk)
            except OSError as error:  # the disk is full
                self.failure = error
        return None

    def on_finish(self) -> None:
        super().on_finish()
        if hasattr(self, "files"):
            self.files.close()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self.body_is_unfinished and hasattr(self, "files"):
            self.files.close()

    async def post(self) -> None:
        if self.size > self._max_body_size:
            raise TooLarge
        if self.failure is not None:
            raise Overloaded(f"the file cannot be stored: {self.failure.strerror}") from self.failure
        self.body.flush()
        content_type = self.request.headers.get("Content-Type", "")
        if media_type(content_type) == MULTIPART:
            upload, given = await self._from_form(content_type)
        else:
            given = joined_parameters(self.request.query, dict)
            upload = await offload(self.size, lambda: _upload(self.body, "", self.size))
        if not upload.size:
            raise Invalid({"file": [BLANK]}, {"file": FILE_HINT})
        if upload.size > MAX_AUDIO_BYTES:
            raise TooLarge
        key = idempotency_key(self)
        if key is None:
            await self._store(upload, given)
        else:
            content = json.dumps([self.request.path, given, upload.sha256, upload.filename], sort_keys=True)
            request = await self.app.idempotency_keys.begin(own_view(self), key, content.encode())
            await carry_out(self, request, lambda: self._store(upload, given))

    async def _from_form(self, content_type: str) -> tuple[Upload, dict[str, Any]]:
        """What a multipart form has under ``file``, and its other fields with those of the query."""
        if not self.size:
            raise BadRequest
        body = self.files.enter_context(mmap(self.body.fileno(), 0, access=ACCESS_READ))
        try:
            parts = [*multipart_parts(body, content_type, DEFAULT_LIMITS)]
        except ValueError as error:
            raise BadRequest from error
        fields = [part for part in parts if part.filename is None and part.name is not None]
        if any(part.end - part.begin > DEFAULT_LIMITS.value for part in fields):
            DEFAULT_LIMITS.too_long()
        values = [(part.name or "", body[part.begin : part.end]) for part in fields]
        given = joined_parameters(
            self.request.query,
            lambda: nested_fields([(name, value.decode()) for name, value in values], DEFAULT_LIMITS),
        )
        sent = next((part for part in parts if part.name == "file" and part.filename is not None), None)
        if sent is None:
            raise Invalid({"file": [BLANK]}, {"file": FILE_HINT})
        if sent.end - sent.begin > MAX_AUDIO_BYTES:
            raise TooLarge
        file = self._temporary_file()
        upload = await offload(sent.end - sent.begin, lambda: _extracted(body, sent, file))
        stem = upload.filename.replace("\\", "/").rpartition("/")[2].rpartition(".")
        return upload, {"name": stem[0] or stem[2], **given}

    def _temporary_file(self) -> IO[bytes]:
        """A file without a name, which is closed when the request has been answered."""
        return self.files.enter_context(tempfile.TemporaryFile(dir=self.app.settings.data_dir))

    async def _store(self, upload: Upload, given: dict[str, Any]) -> None:
        sound = await look_at(upload, self.client.account_id, self.app.settings.data_dir, self.files)
        document = await create_audio_file(self.own_scope(), given, sound)
        self.tell_background()
        self.answer(201, AUDIO_FILES.show(document), resource_path(AUDIO_FILES, document))


def _upload(file: IO[bytes], filename: str, size: int) -> Upload:
    file.seek(0)
    digest = hashlib.sha256()
    while part := file.read(STEP_BYTES):
        digest.update(part)
    return Upload(file, filename, size, digest.hexdigest())


def _extracted(body: mmap, part: Part, file: IO[bytes]) -> Upload:
    """A part of a body, copied into a file of its own."""
    for begin in range(part.begin, part.end, STEP_BYTES):
        file.write(body[begin : min(begin + STEP_BYTES, part.end)])
    file.flush()
    return _upload(file, part.filename or "", part.end - part.begin)


class AudioFileHandler(MemberHandler):
    """``GET``, ``PATCH`` and ``DELETE /api/audio_files/1``."""

    async def delete(self, id_text: str) -> None:
        scope = self.scope_for(self.parameters())
        await delete_audio_file(scope, parse_id(id_text))
        self.tell_background()
        self.answer(204)


class RecordAudioHandler(ClientHandler):
    """``POST /api/audio_files/record``: somebody is called, and speaks it."""

    @idempotent
    async def post(self) -> None:
        webhook = self.app.preflight.webhook
        call = await begin_recording(self.own_scope(), self.parameters(), webhook)
        self.app.wake()
        self.answer(202, {"phone_call_id": call["_id"]}, resource_path(PHONE_CALLS, call))


class OriginalAudioHandler(ClientHandler, StoredFileHandler):
    """``GET /api/audio_files/1/original``: what was sent."""

    async def get(self, id_text: str) -> None:
        self.parameters()
        view = self.own_scope().view
        document = await view.get(AUDIO_FILES.collection, parse_id(id_text))
        content = await content_of(view, document["sha256"])
        if content is None:
            raise NotFound
        self.set_header("Cache-Control", FRESH)
        self.set_header("Content-Disposition", f'attachment; filename="audio-{document["_id"]}.{content["kind"]}"')
        await self.send(content["account_id"], content["original"], document["content_type"], document["sha256"])

    head = get


class AudioHandler(StoredFileHandler):
    """``GET /audio/SHA256.wav``: what a phone plays, for whoever knows the name."""

    counts_for_address = False

    async def get(self, sha256: str, ending: str) -> None:
        self.parameters()
        content = await content_of(self.app.store.all_tenants, sha256)
        if content is None or content["kind"] != ending:
            raise NotFound
        self.set_header("Cache-Control", FOREVER)
        etag = sha256 if ending == MP3 else f"{sha256}-phone"
        await self.send(content["account_id"], played(content), AUDIO_TYPES[ending], etag)

    head = get

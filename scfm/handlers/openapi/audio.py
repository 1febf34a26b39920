"""The operations of audio files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.audio.kinds import AUDIO_TYPES
from scfm.audio.sound import MAX_AUDIO_BYTES
from scfm.handlers.audio_files import AudioFilesHandler, AudioHandler, OriginalAudioHandler, RecordAudioHandler
from scfm.handlers.forms import FORM
from scfm.handlers.openapi.components import (
    JsonObject,
    body_of,
    errors_of,
    given_of,
    object_schema,
    ref,
    response,
    title,
)
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.parameters import JSON
from scfm.models.audio_file import AUDIO_FILES
from scfm.models.phone_call import PHONE_CALLS

BYTES: JsonObject = {"type": "string", "format": "binary"}
SOUNDS: JsonObject = dict.fromkeys(AUDIO_TYPES.values(), BYTES)
OF_PATH: JsonObject = {"in": "path", "required": True}
SHA256_SCHEMA: JsonObject = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
RANGES = ("Accept-Ranges", "Content-Range", "ETag")


def _create(route: DocumentedRoute) -> JsonObject:
    given = given_of(AUDIO_FILES, new=True)
    form = {**given, "properties": {"file": BYTES, **given["properties"]}, "required": ["file"]}
    shown = {JSON: ref("schemas", title(AUDIO_FILES))}
    headers = ("Location", "Idempotent-Replayed")
    return {
        **route.operation(
            "create_audio_file",
            "Create an audio file",
            {"201": response("It has been stored.", shown, headers), **errors_of(400, 401, 403, 409, 413, 415, 422)},
            parameters=route.parameters("audio_name", "audio_language", "Idempotency-Key"),
            requestBody={
                "required": True,
                "content": {"multipart/form-data": {"schema": form}, **{kind: {"schema": BYTES} for kind in SOUNDS}},
            },
        ),
        "description": f"A WAV or an MP3 of at most {MAX_AUDIO_BYTES >> 20} MiB; other names are beside it in the "
        "form, or, where the body is the file itself, in the query.",
    }


def _record(route: DocumentedRoute) -> JsonObject:
    given = given_of(AUDIO_FILES, new=True)["properties"]
    call = given_of(PHONE_CALLS, new=True)["properties"]
    asked: JsonObject = {
        "type": "object",
        "properties": {
            **{name: call[name] for name in ("msisdn", "remote_request_params")},
            **{name: given[name] for name in ("name", "language")},
        },
        "required": ["msisdn", "name", "remote_request_params"],
    }
    queued = object_schema({"phone_call_id": {"type": "integer", "minimum": 1}})
    about = "The call is queued; its metadata will tell what became of it, under `audio_file`."
    return route.operation(
        "record_audio_file",
        "Call somebody who speaks an audio file, hears it, and keeps it with key 1",
        {
            "202": response(about, {JSON: queued}, ("Location", "Idempotent-Replayed")),
            **errors_of(400, 401, 403, 409, 413, 415, 422),
        },
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(asked, JSON, FORM),
    )


def _sent(operation_id: str, summary: str, errors: JsonObject, **more: object) -> JsonObject:
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": [AUDIO_FILES.collection],
        "responses": {
            "200": response("The whole file.", SOUNDS, RANGES),
            "206": response("The range that `Range` names.", SOUNDS, RANGES),
            "416": response("There is no such range.", {}, ("Content-Range",)),
            **errors,
        },
        **more,
    }


def _original(route: DocumentedRoute) -> JsonObject:
    parameters = route.parameters("Range")
    errors = errors_of(400, 401, 404)
    return _sent("original_of_audio_file", "Fetch what was sent", errors, parameters=parameters)


def _played(route: DocumentedRoute) -> JsonObject:
    return _sent(
        "play_audio",
        "Fetch what a phone plays: a WAV of 8 kHz, mono, µ-law, or an MP3 (for the provider)",
        errors_of(400, 404),
        parameters=[
            {**OF_PATH, "name": "sha256", "description": "Of what is sent.", "schema": SHA256_SCHEMA},
            {**OF_PATH, "name": "ending", "description": "Its format.", "schema": {"enum": [*AUDIO_TYPES]}},
            *route.parameters("Range"),
        ],
        security=[],
    )


DESCRIBED_AUDIO: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (AudioFilesHandler, "POST"): _create,
    (RecordAudioHandler, "POST"): _record,
    (OriginalAudioHandler, "GET"): _original,
    (AudioHandler, "GET"): _played,
}

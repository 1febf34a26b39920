"""Audio files: how they are sent, changed, fetched and deleted, and what becomes of their bytes."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.resources.conftest import Documents
from tests.server import Client
from tests.sounds import BOUNDARY, fetch, form, mp3, sound, tone, upload

KEYS = [
    *("id", "name", "language", "content_type", "bytes", "seconds", "sha256", "url"),
    *("metadata", "created_at", "updated_at", "account_id"),
]
WAV, OTHER, MP3 = sound(tone(1.0)), sound(tone(1.0, hertz=500)), mp3()
AUDIO_COLLECTIONS = ("audio_contents", "audio.files", "audio.chunks")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stored(database: Documents, api: Client) -> list[int]:
    """How many documents of each collection of audio the account has."""
    own = {"account_id": api.get("/api/account").json["id"]}
    return [database[name].count_documents(own) for name in AUDIO_COLLECTIONS]


def test_an_audio_file_is_sent_shown_changed_and_deleted(api: Client) -> None:
    content = sound(tone(1.0, hertz=550))  # no other test has it
    answer = upload(api, content, "flood-km.wav", language="km", **{"metadata[by]": "Alice"})
    assert (answer.status, list(answer.json)) == (201, KEYS)
    assert answer.headers["Location"] == f"/api/audio_files/{answer.json['id']}"
    shown = {name: answer.json[name] for name in KEYS[1:9]}
    assert shown == {
        "name": "flood-km",
        "language": "km",
        "content_type": "audio/wav",
        "bytes": len(content),
        "seconds": 1.0,
        "sha256": sha256(content),
        "url": f"/audio/{sha256(content)}.wav",
        "metadata": {"by": "Alice"},
    }
    path = f"/api/audio_files/{answer.json['id']}"
    assert api.get(path).json == answer.json
    assert api.get("/api/audio_files?q[name]=flood-km&q[language]=km").json == [answer.json]
    assert api.patch(path, {"name": "flood", "language": "en", "sha256": "other"}).status == 204
    changed = api.get(path).json
    assert [changed[name] for name in ("name", "language", "sha256")] == ["flood", "en", sha256(content)]
    assert (api.delete(path).status, api.get(path).status) == (204, 404)
    assert fetch(api.server, answer.json["url"])[0] == 404


def test_an_audio_file_may_be_the_body_itself(api: Client) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl says of --data-binary
    answer = api.post("/api/audio_files?name=flood&language=km", body=MP3, headers=kind)
    assert (answer.status, answer.json["content_type"], answer.json["name"]) == (201, "audio/mpeg", "flood")
    assert answer.json["url"] == f"/audio/{sha256(MP3)}.mp3"
    assert fetch(api.server, answer.json["url"])[2] == MP3


def test_what_is_sent_is_named_in_the_form_the_query_or_by_the_file(api: Client) -> None:
    assert upload(api, WAV, "a/b\\flood km.v2.wav").json["name"] == "flood km.v2"
    assert upload(api, WAV, "x.wav", name="flood").json["name"] == "flood"
    body = form(WAV, "y.wav", {"name": "of-form"})
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    assert api.post("/api/audio_files?name=of-query", body=body, headers=kind).json["name"] == "of-query"
    assert upload(api, WAV, "ទឹកជំនន់.wav").json["name"] == "ទឹកជំនន់"


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"name": " "}, "name", "can't be blank"),
        ({"name": "x" * 101}, "name", "is too long (maximum is 100 characters)"),
        ({"name": "http://example.org/a"}, "name", "is invalid: it is a word or some, such as flood-km"),
        ({"name": "flood\nkm"}, "name", "is invalid: it is a word or some, such as flood-km"),
        ({"language": "Khmer, spoken"}, "language", "is invalid: it is the code of a language, such as km or en-GB"),
    ],
)
def test_a_wrong_name_or_language_is_refused(
    api: Client, database: Documents, fields: dict[str, str], field: str, message: str
) -> None:
    answer = upload(api, WAV, **fields)
    assert (answer.status, answer.json) == (422, {"errors": {field: [message]}})
    assert stored(database, api) == [0, 0, 0]


@pytest.mark.parametrize("sent", [{"form": {"name": "flood"}}, {"json": {"name": "flood"}}, {}])
def test_a_request_without_a_file_is_refused(api: Client, sent: dict[str, Any]) -> None:
    answer = api.post("/api/audio_files", **sent)
    assert answer.status == 422
    assert list(answer.json["errors"]) == ["file"]


def test_a_form_without_a_file_says_how_to_send_one(api: Client) -> None:
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"\r\n\r\nflood.wav\r\n--{BOUNDARY}--\r\n'
    answer = api.post("/api/audio_files", body=body.encode(), headers=kind)
    assert (answer.status, answer.json) == (422, {"errors": {"file": ["can't be blank"]}})
    assert answer.hints is not None
    assert "curl -F file=@" in answer.hints["file"]
    assert api.post("/api/audio_files", body=form(WAV)[:-5], headers=kind).status == 400


def test_a_name_is_one_audio_files_of_an_account(api: Client, stranger: Client, database: Documents) -> None:
    first = upload(api, WAV, name="flood").json
    second = upload(api, OTHER, name="all-clear").json
    taken = {"errors": {"name": ["has already been taken"]}}
    again = upload(api, MP3, "flood.mp3")
    assert again.json == taken
    assert again.hints is not None
    assert "another name" in again.hints["name"]
    assert "delete" in again.hints["name"]
    assert api.patch(f"/api/audio_files/{second['id']}", {"name": "flood"}).json == taken
    assert upload(stranger, WAV, name="flood").status == 201
    assert stored(database, api) == [2, 4, 4]
    assert stranger.get(f"/api/audio_files/{first['id']}").status == 404
    assert stranger.get(f"/api/audio_files/{first['id']}/original").status == 404
    assert stranger.delete(f"/api/audio_files/{first['id']}").status == 404


def test_more_than_10_mib_are_too_much_whatever_max_body_size_says(api: Client) -> None:
    largest = WAV + bytes((10 << 20) - len(WAV))
    assert upload(api, largest, name="flood").status == 422
    assert upload(api, largest + b"\0", name="flood").status == 413
    assert api.post("/api/audio_files?name=flood", body=largest + b"\0").status == 413
    assert upload(api, bytes(30 << 20), name="flood").status == 413
    assert api.post("/api/contacts", body=bytes(100_001)).status == 413


def test_the_same_bytes_are_stored_once_and_go_with_the_last_who_has_them(api: Client, database: Documents) -> None:
    content = sound(tone(1.0, hertz=600))  # no other test has it
    made = [upload(api, content, name=f"flood-{number}").json for number in range(3)]
    assert stored(database, api) == [1, 2, 2]
    for number, one in enumerate(made):
        assert fetch(api.server, one["url"])[0] == 200, number
        assert api.delete(f"/api/audio_files/{one['id']}").status == 204
    assert fetch(api.server, made[0]["url"])[0] == 404
    assert stored(database, api) == [0, 0, 0]


def test_the_same_bytes_of_another_account_are_its_own(api: Client, stranger: Client, database: Documents) -> None:
    ours, theirs = upload(api, WAV).json, upload(stranger, WAV).json
    assert ours["url"] == theirs["url"]
    assert api.delete(f"/api/audio_files/{ours['id']}").status == 204
    assert (stored(database, api), stored(database, stranger)) == ([0, 0, 0], [1, 2, 2])
    assert fetch(api.server, ours["url"])[0] == 200
    original = fetch(api.server, f"/api/audio_files/{theirs['id']}/original", token(stranger))
    assert (original[0], original[2]) == (200, WAV)


def token(api: Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.token}"}


def test_the_original_is_for_clients_of_the_account(api: Client) -> None:
    made = upload(api, WAV).json
    status, headers, content = fetch(api.server, f"/api/audio_files/{made['id']}/original", token(api))
    assert (status, content, headers["Content-Type"]) == (200, WAV, "audio/wav")
    assert headers["Content-Disposition"] == f'attachment; filename="audio-{made["id"]}.wav"'
    assert headers["Cache-Control"] == "max-age=0, private, must-revalidate"
    assert fetch(api.server, f"/api/audio_files/{made['id']}/original")[0] == 401


def test_what_is_played_may_be_cached_for_a_year_and_asked_for_in_parts(api: Client) -> None:
    path = upload(api, mp3(180.0, 44100), "flood.mp3").json["url"]
    status, headers, whole = fetch(api.server, path)
    assert (status, headers["Content-Length"], headers["Accept-Ranges"]) == (200, str(len(whole)), "bytes")
    assert len(whole) > 2 * 255 * 1024
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    tag = headers["ETag"]
    assert tag == f'"{sha256(whole)}"'
    assert fetch(api.server, path, {"If-None-Match": tag})[::2] == (304, b"")
    status, headers, content = fetch(api.server, path, method="HEAD")
    assert (status, headers["Content-Length"], content) == (200, str(len(whole)), b"")
    size = len(whole)
    ranges = {
        "0-0": (0, 1),
        "5-": (5, size),
        "-7": (size - 7, size),
        "100-299999": (100, 300_000),
        "261119-261120": (261_119, 261_121),  # over the edge of a chunk
        f"{size - 1}-{size + 9}": (size - 1, size),
        f"-{size + 9}": (0, size),
    }
    for asked, (begin, end) in ranges.items():
        status, headers, content = fetch(api.server, path, {"Range": f"bytes={asked}"})
        assert content == whole[begin:end], asked
        partial = (begin, end) != (0, size)
        assert status == (206 if partial else 200)
        assert headers.get("Content-Range") == (f"bytes {begin}-{end - 1}/{size}" if partial else None)
    for asked in (f"{size}-", "-0"):
        status, headers, content = fetch(api.server, path, {"Range": f"bytes={asked}"})
        assert (status, headers["Content-Range"], content) == (416, f"bytes */{size}", b"")
    for asked in ("bytes=9-2", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6"):
        assert fetch(api.server, path, {"Range": asked})[::2] == (200, whole)
    assert fetch(api.server, path, {"Range": "bytes=0-0", "If-Range": tag})[0] == 206
    assert fetch(api.server, path, {"Range": "bytes=0-0", "If-Range": '"other"'})[0] == 200


def test_no_other_url_plays_anything(api: Client) -> None:
    path = upload(api, WAV).json["url"]
    assert fetch(api.server, path.replace(".wav", ".mp3"))[0] == 404
    assert fetch(api.server, path.replace(sha256(WAV), "0" * 64))[0] == 404
    assert fetch(api.server, path.upper())[0] == 404
    assert fetch(api.server, path, method="DELETE")[0] == 404


def test_an_upload_that_is_sent_again_is_one(api: Client, database: Documents) -> None:
    answers = [upload(api, WAV, headers={"Idempotency-Key": "one"}, name="flood") for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert answers[2].headers["Idempotent-Replayed"] == "true"
    assert upload(api, OTHER, headers={"Idempotency-Key": "one"}, name="flood").status == 422
    assert stored(database, api) == [1, 2, 2]


def test_of_many_who_send_and_delete_the_same_bytes_each_has_what_it_made(api: Client, database: Documents) -> None:
    def lives(number: int) -> None:
        for turn in range(3):
            made = upload(api, WAV, name=f"flood-{number}-{turn}")
            assert made.status == 201, made
            assert fetch(api.server, made.json["url"])[0] == 200
            assert api.delete(f"/api/audio_files/{made.json['id']}").status == 204

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(lives, range(4)))
    assert stored(database, api) == [0, 0, 0]


def test_an_account_with_audio_files_stays(api: Client) -> None:
    upload(api, WAV)
    own = api.get("/api/account").json["id"]
    answer = api.server.client().delete(f"/api/accounts/{own}")
    assert answer.status == 422

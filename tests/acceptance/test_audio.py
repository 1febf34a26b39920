"""Audio files on a server of their own: from the terminal; and what the largest upload costs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.server import Server, wait_until
from tests.sounds import fetch, sound, tone, upload

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


def audio(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``scfm audio``."""
    command = [sys.executable, "-m", "scfm", "audio", *words, "--server", server.url, "--token", server.token]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_file_is_sent_from_the_terminal_and_listed(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "flood.wav"
    file.write_bytes(sound(tone(2.0, 44100), 44100))
    added = audio(server, "add", str(file), "--name", "flood-km", "--language", "km")
    assert (added.returncode, added.stderr) == (0, "")
    assert re.fullmatch(r"flood-km  km  2\.0 s  /audio/[0-9a-f]{64}\.wav\n", added.stdout)
    assert audio(server, "add", str(file)).returncode == 0
    assert audio(server, "list").stdout == added.stdout + added.stdout.replace("flood-km  km", "flood  -")
    again = audio(server, "add", str(file))
    assert (again.returncode, again.stdout) == (2, "")
    assert "name: has already been taken" in again.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("warning.wav", b"Leave the valley at once.", "is a text, not a sound"),
        ("warning.mp3", sound(), "is a WAV file, but its name ends in .mp3"),
        ("warning.wav", sound()[:99], "is cut off"),
        ("warning.wav", bytes(10 * MEBIBYTE + 1), "is larger than 10 MiB"),
        ("", b"", "cannot be read"),
    ],
)
def test_what_is_no_sound_is_refused_with_a_sentence(
    server: Server, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / (name or "missing.wav")
    if name:
        file.write_bytes(content)
    refused = audio(server, "add", str(file))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert message in refused.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of memory")
def test_the_largest_upload_takes_less_than_5_mib_beyond_itself(server: Server) -> None:
    largest = sound(np.random.default_rng(1).integers(-9999, 9999, 5 * MEBIBYTE - 100, dtype="int16"), 44100)
    assert 10 * MEBIBYTE - 1000 < len(largest) <= 10 * MEBIBYTE
    assert upload(server.client(), sound(), name="first").status == 201
    assert server.process is not None
    before = peak_of_memory(server.process.pid)
    made = upload(server.client(), largest, name="largest")
    assert made.status == 201, made
    assert len(fetch(server, made.json["url"])[2]) == pytest.approx(118.9 * 8000, abs=8000)
    original = {"Authorization": f"Bearer {server.token}"}
    assert fetch(server, f"/api/audio_files/{made.json['id']}/original", original)[2] == largest
    assert peak_of_memory(server.process.pid) - before < 15 * MEBIBYTE


def test_an_officer_who_is_called_records_a_file(server: Server, tmp_path: Path) -> None:
    given = {"msisdn": "+15005550010", "name": "siren", "language": "km", "remote_request_params": {"from": "1294"}}
    with Server(tmp_path / "data", {"PLATFORM_PROVIDER": "simulator"}) as simulated:
        api = simulated.client()
        asked = [
            api.post("/api/audio_files/record", json=given, headers={"Idempotency-Key": "one"}) for _ in range(2)
        ]
        assert [(one.status, list(one.json)) for one in asked] == [(202, ["phone_call_id"])] * 2
        assert asked[0].json == asked[1].json
        call = f"/api/phone_calls/{asked[0].json['phone_call_id']}"
        assert asked[0].headers["Location"] == call
        file = wait_until(lambda: api.get("/api/audio_files").json)[0]
        assert [file[name] for name in ("name", "language", "seconds")] == ["siren", "km", 4.0]
        wait_until(lambda: "id" in api.get(call).json["metadata"]["audio_file"])
        assert api.get(call).json["metadata"]["audio_file"] == {"name": "siren", "language": "km", "id": file["id"]}
        assert len(fetch(simulated, file["url"])[2]) == pytest.approx(4 * 8000, abs=200)
        again = api.post("/api/audio_files/record", json=given)
        assert (again.status, again.json) == (422, {"errors": {"name": ["has already been taken"]}})
        wrong = {**given, "name": "other", "remote_request_params": {"from": "1294", "url": "https://example.org"}}
        assert list(api.post("/api/audio_files/record", json=wrong).json["errors"]) == ["remote_request_params"]
        assert list(api.post("/api/audio_files/record", json={**given, "name": "", "msisdn": ""}).json["errors"]) == [
            "name",
            "msisdn",
        ]
        assert len(api.get("/api/phone_calls").json) == 1
        named = api.post("/api/callouts", json={"call_flow_logic": "CallFlowLogic::RecordAudio"})
        assert list(named.json["errors"]) == ["call_flow_logic"]


def peak_of_memory(pid: int) -> int:
    """The most bytes that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024

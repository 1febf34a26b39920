"""What is taken as an audio file, and what is refused, and with which sentence."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from scfm.audio import reader
from scfm.audio.mp3_frames import DamagedMp3
from scfm.audio.sound import Upload, look_at
from scfm.audio.wav_conversion import DamagedWav
from tests.server import Client
from tests.sounds import (
    fetch,
    mp3,
    repeated,
    repeated_mp3,
    sound,
    tone,
    upload,
    with_data_size,
    with_header,
)

WAV_OF_3_S = sound(tone(3.0))
MP3_OF_3_S = mp3(3.0)
ID3 = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 0]) + bytes(256)  # a tag of 256 bytes: its size has seven bits a byte
PIPED = 0xFFFFFFFF

TAKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "8 bits": (lambda: sound(tone(3.0), subtype="PCM_U8"), "flood.wav"),
    "16 bits": (lambda: WAV_OF_3_S, "flood.WAV"),
    "24 bits": (lambda: sound(tone(3.0), subtype="PCM_24"), "flood.wave"),
    "32 bits": (lambda: sound(tone(3.0), subtype="PCM_32"), "flood"),
    "floating point": (lambda: sound(tone(3.0), subtype="FLOAT"), "flood.wav"),
    "double precision": (lambda: sound(tone(3.0), subtype="DOUBLE"), "flood.wav"),
    "µ-law": (lambda: sound(tone(3.0), subtype="ULAW"), "flood.wav"),
    "A-law": (lambda: sound(tone(3.0), subtype="ALAW"), "flood.wav"),
    "IMA ADPCM": (lambda: sound(tone(3.0), subtype="IMA_ADPCM"), "flood.wav"),
    "Microsoft ADPCM": (lambda: sound(tone(3.0), subtype="MS_ADPCM"), "flood.wav"),
    "GSM 6.10": (lambda: sound(tone(3.0), subtype="GSM610"), "flood.wav"),
    "G.721": (lambda: sound(tone(3.0), subtype="G721_32"), "flood.wav"),
    "NMS ADPCM": (lambda: sound(tone(3.0), subtype="NMS_ADPCM_16"), "flood.wav"),
    "RF64": (lambda: sound(tone(3.0), kind="RF64"), "flood.wav"),
    "extensible": (lambda: sound(tone(3.0), kind="WAVEX"), "flood.wav"),
    "1 kHz": (lambda: sound(tone(3.0, 1000), 1000), "flood.wav"),
    "11 kHz": (lambda: sound(tone(3.0, 11025), 11025), "flood.wav"),
    "44.1 kHz, stereo": (lambda: sound(tone(3.0, 44100, 2), 44100), "flood.wav"),
    "96 kHz, 6 channels": (lambda: sound(tone(3.0, 96000, 6), 96000), "flood.wav"),
    "384 kHz": (lambda: sound(tone(3.0, 384_000), 384_000), "flood.wav"),
    "numbers that are none": (
        lambda: sound(np.concatenate([tone(2.9), np.full((800, 1), np.nan), [[np.inf]]])[:24000], subtype="FLOAT"),
        "flood.wav",
    ),
    "written into a pipe": (lambda: with_data_size(WAV_OF_3_S, PIPED), "flood.wav"),
    "with a chunk behind": (lambda: WAV_OF_3_S + b"LIST\x04\x00\x00\x00INFO", "flood.wav"),
    "silence": (lambda: sound(np.zeros(24000)), "flood.wav"),
    "MP3": (lambda: MP3_OF_3_S, "flood.mp3"),
    "MP3, 44.1 kHz, stereo": (lambda: sound(tone(3.0, 44100, 2), 44100, "MP3"), "flood.MP3"),
    "MP3 with tags": (lambda: ID3 + MP3_OF_3_S + b"TAG" + bytes(125), "flood"),
    "MP3 without a count": (lambda: MP3_OF_3_S[MP3_OF_3_S.index(b"\xff", 4) :], "flood.mp3"),
}
ONLY_ZEROS = bytes(5000)
FAULTS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "a text": (lambda: b"Leave the valley at once.\n" * 99, "flood.wav", "is a text, not a sound"),
    "a text in Khmer": (lambda: "ជំរាបសួរ".encode() * 99, "flood.mp3", "is a text, not a sound"),
    "zeros": (lambda: ONLY_ZEROS, "flood.wav", "is neither a WAV nor an MP3 file"),
    "an MP3 called WAV": (lambda: MP3_OF_3_S, "flood.wav", "is an MP3 file, but its name ends in .wav"),
    "a WAV called MP3": (lambda: WAV_OF_3_S, "flood.mp3", "is a WAV file, but its name ends in .mp3"),
    "Ogg": (lambda: sound(kind="OGG"), "flood.wav", "is an Ogg file"),
    "FLAC": (lambda: sound(kind="FLAC"), "flood.wav", "is a FLAC file"),
    "AIFF": (lambda: sound(kind="AIFF"), "flood.wav", "is an AIFF file"),
    "AU": (lambda: sound(kind="AU"), "flood.wav", "is a Sun audio file"),
    "CAF": (lambda: sound(kind="CAF"), "flood.wav", "is a Core Audio file"),
    "W64": (lambda: sound(kind="W64"), "flood.wav", "is neither a WAV nor an MP3 file"),
    "M4A": (lambda: b"\x00\x00\x00\x20ftypM4A " + ONLY_ZEROS, "flood.mp3", "is an MPEG-4 file"),
    "AMR": (lambda: b"#!AMR\n" + ONLY_ZEROS, "flood.wav", "is an AMR file"),
    "a picture": (lambda: b"\xff\xd8\xff\xe0" + ONLY_ZEROS, "flood.mp3", "is a picture"),
    "a video": (lambda: b"RIFF\x00\x10\x00\x00AVI " + ONLY_ZEROS, "flood.wav", "is a RIFF file that holds no WAV"),
    "a header that is cut off": (lambda: WAV_OF_3_S[:20], "flood.wav", "its header is damaged or cut off"),
    "a header and no sound": (lambda: WAV_OF_3_S[:44], "flood.wav", "holds no sound"),
    "half of a WAV": (lambda: WAV_OF_3_S[:24022], "flood.wav", "is cut off: its header says 48000 bytes"),
    "a header that says more": (lambda: with_data_size(WAV_OF_3_S, 480_000), "flood.wav", "is cut off"),
    "a header that says less": (lambda: with_data_size(WAV_OF_3_S, 100), "flood.wav", "has a header that is wrong"),
    "a header that says nothing": (lambda: with_data_size(WAV_OF_3_S, 0), "flood.wav", "has no length"),
    "one sample a second": (lambda: with_header(WAV_OF_3_S, 24, "<I", 1), "flood.wav", "has 1 samples a second"),
    "no samples a second": (lambda: with_header(WAV_OF_3_S, 24, "<I", 0), "flood.wav", "is a WAV file that cannot"),
    "2 GHz": (lambda: with_header(WAV_OF_3_S, 24, "<I", 2**31 - 1), "flood.wav", "has 2147483647 samples a second"),
    "no channels": (lambda: with_header(WAV_OF_3_S, 22, "<H", 0), "flood.wav", "is a WAV file that cannot be read"),
    "a thousand channels": (lambda: with_header(WAV_OF_3_S, 22, "<H", 1000), "flood.wav", "has 1000 channels"),
    "60,000 channels": (lambda: with_header(WAV_OF_3_S, 22, "<H", 60000), "flood.wav", "is a WAV file that cannot"),
    "a coding that nobody knows": (lambda: with_header(WAV_OF_3_S, 20, "<H", 4711), "flood.wav", "is a WAV file"),
    "silence of 1.7 hours": (
        lambda: repeated(sound(np.zeros(80_000), subtype="GSM610"), 655)[: 10 << 20],
        "flood.wav",
        "is cut off",
    ),
    "silence of an hour": (
        lambda: repeated(sound(np.zeros(80_000), subtype="GSM610"), 360),
        "flood.wav",
        "is longer than 30 minutes",
    ),
    "an MP3 of 40 minutes": (lambda: repeated_mp3(mp3(60.0), 40), "flood.mp3", "is longer than 30 minutes"),
    "an MP3 with a text in it": (
        lambda: MP3_OF_3_S[:2000] + b"Leave at once. " * 3000 + MP3_OF_3_S[2000:],
        "flood.mp3",
        "is damaged: after 1.3 s it is no MP3",
    ),
    "an MP3 with zeros behind": (lambda: MP3_OF_3_S + bytes(99_999), "flood.mp3", "is damaged: after 3.2 s"),
    "half of an MP3": (lambda: MP3_OF_3_S[:2160], "flood.mp3", "is cut off: its header says 3.2 s"),
    "an MP3 that promises a month": (
        lambda: MP3_OF_3_S.replace(
            b"Xing\x00\x00\x00\x0f" + MP3_OF_3_S[21:25], b"Xing\x00\x00\x00\x0f" + struct.pack(">I", 40_000_000)
        ),
        "flood.mp3",
        "is cut off: its header says",
    ),
    "the head of an MP3": (lambda: MP3_OF_3_S[:288], "flood.mp3", "holds no sound"),
    "a tag and no MP3": (lambda: ID3 + b"hello" * 2000, "flood.mp3", "is an MP3 file that cannot be read"),
    "a tag that never ends": (lambda: b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(99), "flood.mp3", "is cut off"),
    "what begins as an MP3 does": (lambda: b"\xff\xfb\x90\x44" + b"hello" * 2000, "flood.mp3", "is an MP3 file"),
    "a million beginnings": (lambda: b"\xff" * 10_000_000, "flood.mp3", "is an MP3 file that cannot be read"),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_sound_is_taken_and_given_as_a_phone_plays_it(api: Client, kind: str) -> None:
    make, filename = TAKEN[kind]
    content = make()
    answer = upload(api, content, filename, name="flood")
    assert answer.status == 201, answer
    assert answer.json["bytes"] == len(content)
    assert answer.json["seconds"] == pytest.approx(3.0, abs=0.25)
    status, headers, played = fetch(api.server, answer.json["url"])
    assert status == 200
    if answer.json["content_type"] == "audio/mpeg":
        assert (headers["Content-Type"], played) == ("audio/mpeg", content)
        return
    assert headers["Content-Type"] == "audio/wav"
    with soundfile.SoundFile(io.BytesIO(played)) as phone:
        assert (phone.samplerate, phone.channels, phone.format, phone.subtype) == (8000, 1, "WAV", "ULAW")
        samples = phone.read()
    assert len(samples) == pytest.approx(24000, abs=400)
    loudness = float(np.sqrt(np.mean(samples[8000:16000] ** 2)))
    assert loudness == pytest.approx(0.0 if kind == "silence" else 0.3536, abs=0.02)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_no_phone_could_play_is_refused_with_what_is_wrong(api: Client, fault: str) -> None:
    make, filename, message = FAULTS[fault]
    answer = upload(api, make(), filename, name="flood")
    assert answer.status == 422, answer
    assert list(answer.json["errors"]) == ["file"]
    assert [message in one for one in answer.json["errors"]["file"]] == [True], answer
    assert api.get("/api/audio_files").json == []


async def test_a_library_that_cannot_be_loaded_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "soxr.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    with ExitStack() as files:
        file = files.enter_context(tempfile.TemporaryFile())
        file.write(WAV_OF_3_S)
        sent = Upload(file, "flood.wav", len(WAV_OF_3_S), hashlib.sha256(WAV_OF_3_S).hexdigest())
        with pytest.raises(RuntimeError, match="libgomp"):
            await look_at(sent, 1, tmp_path, files)


# What the server has a process of its own do, in this one, where its coverage is measured.


@pytest.mark.parametrize("kind", TAKEN)
def test_the_reader_finds_the_kind_and_the_length(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, filename = TAKEN[kind]
    found = read_here(make(), filename, tmp_path, monkeypatch)
    assert found["kind"] in ("wav", "mp3")
    assert found["seconds"] == pytest.approx(3.0, abs=0.25)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_reader_says_what_is_wrong(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, filename, message = FAULTS[fault]
    with pytest.raises((ValueError, DamagedMp3, DamagedWav), match=re.escape(message)):
        read_here(make(), filename, tmp_path, monkeypatch)


def read_here(content: bytes, filename: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the reader finds, with the file on its standard input."""
    source = folder / "source"
    source.write_bytes(content)
    with source.open("rb") as stdin, (folder / "target").open("wb") as stdout, monkeypatch.context() as patch:
        patch.setattr(reader.sys, "stdin", SimpleNamespace(buffer=stdin, fileno=stdin.fileno))
        patch.setattr(reader.sys, "stdout", SimpleNamespace(fileno=stdout.fileno))
        return reader.looked_at(filename)

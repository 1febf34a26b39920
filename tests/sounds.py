"""Audio files, made for tests: of every kind, whole and damaged; and how they are sent and fetched."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPConnection

import numpy as np
import soundfile

from tests.server import Answer, Client, Server

BOUNDARY = "a-boundary"


def tone(seconds: float = 1.0, rate: int = 8000, channels: int = 1, *, hertz: float = 440.0) -> np.ndarray:
    """A tone at half of the greatest loudness, as numbers from -1 to 1."""
    wave = 0.5 * np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * hertz / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype("float32")


def sound(
    samples: np.ndarray | None = None, rate: int = 8000, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """An audio file of a KIND that libsndfile writes."""
    written = io.BytesIO()
    soundfile.write(written, tone() if samples is None else samples, rate, format=kind, subtype=subtype)
    return written.getvalue()


def mp3(seconds: float = 1.0, rate: int = 8000) -> bytes:
    return sound(tone(seconds, rate), rate, "MP3")


def repeated(wav: bytes, times: int) -> bytes:
    """A WAV of one coding in blocks that has the same sound so many TIMES; to encode that much takes seconds."""
    start, fact = wav.index(b"data") + 8, wav.index(b"fact") + 8
    (size,), (samples,) = (struct.unpack_from("<I", wav, position) for position in (start - 4, fact))
    much = wav[:start] + times * wav[start : start + size]
    much = with_header(much, 4, "<I", len(much) - 8)
    much = with_header(much, fact, "<I", times * samples)
    return with_data_size(much, times * size)


def repeated_mp3(content: bytes, times: int) -> bytes:
    """An MP3 that has the same frames so many TIMES; the first frame, which is no sound, says so."""
    count = content.index(b"Xing") + 8
    sounds = content.index(content[:2], count + 112)  # behind two numbers, a table and the quality: the next frame
    frames, size = struct.unpack_from(">II", content, count)
    told = struct.pack(">II", times * frames, size + (times - 1) * (len(content) - sounds))
    return content[:count] + told + content[count + 8 : sounds] + times * content[sounds:]


def with_data_size(wav: bytes, size: int) -> bytes:
    """A WAV whose header says that it has SIZE bytes of sound."""
    position = wav.index(b"data") + 4
    return wav[:position] + struct.pack("<I", size) + wav[position + 4 :]


def with_header(wav: bytes, position: int, form: str, value: int) -> bytes:
    """A WAV with a VALUE at a POSITION of its header."""
    packed = struct.pack(form, value)
    return wav[:position] + packed + wav[position + len(packed) :]


def form(content: bytes, filename: str = "flood.wav", fields: Mapping[str, str] | None = None) -> bytes:
    """A multipart form with a file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (fields or {}).items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'.encode()
    return b"".join((*parts, head, content, f"\r\n--{BOUNDARY}--\r\n".encode()))


def upload(
    api: Client,
    content: bytes,
    filename: str = "flood.wav",
    headers: Mapping[str, str] | None = None,
    **fields: str,
) -> Answer:
    """Send a file in a multipart form."""
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **(headers or {})}
    return api.post("/api/audio_files", body=form(content, filename, fields), headers=kind)


def fetch(
    server: Server, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, Message, bytes]:
    """What anybody gets there: the status, the headers, the bytes."""
    connection = HTTPConnection(server.host, server.port, timeout=60)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()

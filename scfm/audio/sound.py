"""An audio file that has been sent: it is looked at, and converted, by a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scfm.audio import reader
from scfm.audio.kinds import CONVERT, MP3
from scfm.errors import Invalid
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.runtime.child_process import REFUSED, run_program

log = logging.getLogger("scfm.audio")

# Bytes of a file as it is sent, whatever MAX_BODY_SIZE says.
MAX_AUDIO_BYTES = 10 << 20
# How many are looked at at a time, each by a process of its own: see reader for what one may take.
AUDIO_READERS = asyncio.Semaphore(2)
# One of an account at a time; its others wait for so many seconds.
MAX_AUDIO_WAIT_SECONDS = 30.0
ACCOUNT_READERS = AccountConcurrency("audio files are being sent", 1, MAX_AUDIO_WAIT_SECONDS)
# Seconds that one may take, which is told to have less of the processor's time.
MAX_AUDIO_READER_SECONDS = 45.0


@dataclass(frozen=True)
class Upload:
    """What was sent: a file of ``size`` bytes, called ``filename``, or ''."""

    file: IO[bytes]
    filename: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Sound:
    """An upload that has been looked at; ``phone`` is what it was converted to, None for an MP3."""

    kind: str
    seconds: float
    sha256: str
    size: int
    original: IO[bytes]
    phone: IO[bytes] | None

    @property
    def path(self) -> str:
        """Where anybody may fetch what a phone plays, without a token."""
        return f"/audio/{self.sha256}.{self.kind}"


async def look_at(upload: Upload, account_id: int, folder: Path, files: ExitStack) -> Sound:
    """What the upload is; raises Invalid for what no phone can play, Overloaded, RuntimeError for a fault of ours.

    What it is converted to is in a file in FOLDER, which FILES closes.
    """
    phone: IO[bytes] = files.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - FILES closes it
    upload.file.flush()
    upload.file.seek(0)
    async with ACCOUNT_READERS.slot(account_id), AUDIO_READERS:
        status, output = await run_program(
            reader.__name__, upload.filename, stdin=upload.file, stdout=phone, seconds=MAX_AUDIO_READER_SECONDS
        )
    first = output.partition("\n")[0]
    if status == REFUSED:
        raise Invalid({"file": [first]})
    if status > 0:
        raise RuntimeError(f"an audio file could not be looked at: {output}")
    if status < 0:  # it was killed
        log.warning("an audio file was not looked at to its end (status %d): %s", status, output or "nothing said")
        raise Invalid({"file": [f"takes too long or too much memory to read: {CONVERT}"]})
    found = json.loads(first)
    is_mp3 = found["kind"] == MP3
    return Sound(found["kind"], found["seconds"], upload.sha256, upload.size, upload.file, None if is_mp3 else phone)

"""WAV: what its header says is compared with what is there, and its sound converted to what a telephone carries."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import IO, Any

from scfm.audio.kinds import MAX_AUDIO_SECONDS

# ITU-T G.711: 8000 samples a second, one channel, µ-law.
PHONE_RATE = 8000
MIN_RATE, MAX_RATE = 1000, 384_000
MAX_CHANNELS = 32
# Samples of all channels that are converted at once.
BLOCK_SAMPLES = 1 << 16
# Who writes a WAV into a pipe does not know its length, and says so with a number like these.
UNKNOWN_SIZE = 0x7FFFF000
WAV_NOT_READ = "is a WAV file that cannot be read: its header is damaged or cut off; export it anew"


class DamagedWav(Exception):
    """The file is no whole WAV; its text says what is wrong."""


def check_length(file: IO[bytes], size: int) -> None:
    """Raise DamagedWav where the header of a WAV of SIZE bytes says that it has more sound than there is, or less.

    What is wrong in another way is left to the library.
    """
    file.seek(0)
    order = ">" if file.read(12)[:4] == b"RIFX" else "<"
    position = 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        position += 8
        if name == b"data":
            break
        position += length + length % 2
    else:
        raise DamagedWav(WAV_NOT_READ)
    there = size - position
    if not there:
        raise DamagedWav("holds no sound")
    if length >= UNKNOWN_SIZE:
        return
    if not length:
        raise DamagedWav("has no length, as what recorded it did not finish it: open it, and save it anew")
    if length > there:
        raise DamagedWav(f"is cut off: its header says {length} bytes of sound, but it has {there}: send it again")
    if _chunks_end(file, position + length + length % 2, size, order) < size and there - length > length:
        raise DamagedWav(
            f"has a header that is wrong: it says {length} bytes of sound, but there are {there}: export it anew"
        )


def _chunks_end(file: IO[bytes], position: int, size: int, order: str) -> int:
    """Where the chunks that begin at POSITION end, up to what is none."""
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        if not name.isalnum() and not name.strip().isalnum():
            return position
        position += 8 + length + length % 2
    return position


def convert(source: int, target: int) -> float:
    """Convert the WAV in the open file SOURCE, a descriptor, into TARGET; how many seconds it has.

    Raises DamagedWav.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread reserves memory
    # Here, as the server needs none of it.
    import soundfile  # noqa: PLC0415
    import soxr  # noqa: PLC0415

    os.lseek(source, 0, os.SEEK_SET)
    try:
        sound = soundfile.SoundFile(source, closefd=False)
    except soundfile.LibsndfileError as error:
        raise DamagedWav(f"{WAV_NOT_READ} ({error.error_string})") from None
    _check_form(sound)
    resampled = soxr.ResampleStream(sound.samplerate, PHONE_RATE, 1, dtype="float32")
    phone = soundfile.SoundFile(target, "w", PHONE_RATE, 1, "ULAW", format="WAV", closefd=False)
    frames = 0
    try:
        with phone:
            for block in _blocks(sound):
                frames += len(block)
                if frames > MAX_AUDIO_SECONDS * sound.samplerate:
                    raise DamagedWav(f"is longer than {MAX_AUDIO_SECONDS / 60:g} minutes")
                phone.write(_as_16_bits(resampled.resample_chunk(block)))
            phone.write(_as_16_bits(resampled.resample_chunk(_silence(), last=True)))
    except soundfile.LibsndfileError as error:
        raise DamagedWav(f"is damaged: {error.error_string}") from None
    if not frames:
        raise DamagedWav("holds no sound")
    return float(frames / sound.samplerate)


def _check_form(sound: Any) -> None:
    if not MIN_RATE <= sound.samplerate <= MAX_RATE:
        raise DamagedWav(
            f"has {sound.samplerate} samples a second, and may have {MIN_RATE} to {MAX_RATE}: export it with 8000"
        )
    if sound.channels > MAX_CHANNELS:
        raise DamagedWav(f"has {sound.channels} channels, and may have {MAX_CHANNELS}: export it as mono")


def _blocks(sound: Any) -> Iterator[Any]:
    """The sound as one channel of numbers from -1 to 1, a block at a time."""
    import numpy  # noqa: PLC0415

    frames = max(BLOCK_SAMPLES // sound.channels, 1)
    while len(block := sound.read(frames, dtype="float32", always_2d=True)):
        # A file of floating-point numbers may hold some that are none.
        yield numpy.clip(numpy.nan_to_num(block.mean(axis=1, dtype="float32")), -1, 1)


def _as_16_bits(block: Any) -> Any:
    import numpy  # noqa: PLC0415

    return (numpy.clip(block, -1, 1) * 32767).astype("int16")


def _silence() -> Any:
    import numpy  # noqa: PLC0415

    return numpy.zeros(0, dtype="float32")

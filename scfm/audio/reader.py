"""A program: looks at the audio file on its standard input, and writes what a phone plays to its standard output.

That is a WAV of 8 kHz, mono, µ-law for a WAV, and nothing for an MP3, which is played as it is. The argument is the
file's name. What it found is the first line of its standard error, ``{"kind": "wav", "seconds": 12.5}``. A file that
cannot be taken ends it with status REFUSED, and the first line says why.

It is a process of its own since libsndfile reads what strangers send: it takes time and memory that the file decides
on. Both are limited here, where the system can, and whatever becomes of it, the server goes on.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from scfm.audio.kinds import HEAD_BYTES, MAX_AUDIO_SECONDS, MP3, described, kind_of, name_problem
from scfm.audio.mp3_frames import DamagedMp3, mp3_seconds
from scfm.audio.wav_conversion import PHONE_RATE, DamagedWav, check_length, convert
from scfm.runtime.child_process import exit_refused, limit_process

# Bytes of the process; seconds of the processor; bytes that it writes: a byte a sample, and a header.
MAX_READER_BYTES = 1 << 29
MAX_PROCESSOR_SECONDS = 30
MAX_PHONE_BYTES = int(MAX_AUDIO_SECONDS * PHONE_RATE) + (1 << 16)
LASTS_TOO_LONG = f"is longer than {MAX_AUDIO_SECONDS / 60:g} minutes"


def looked_at(filename: str) -> dict[str, object]:
    """The kind and the length of the file on the standard input; raises ValueError, DamagedMp3, DamagedWav."""
    file = sys.stdin.buffer
    head = file.read(HEAD_BYTES)
    kind = kind_of(head)
    if kind is None:
        raise ValueError(described(head))
    if problem := name_problem(filename, kind):
        raise ValueError(problem)
    size = file.seek(0, 2)
    if kind == MP3:
        file.seek(0)
        seconds = mp3_seconds(file.read(), MAX_AUDIO_SECONDS)
    else:
        check_length(file, size)
        file.seek(0)
        seconds = convert(sys.stdin.fileno(), sys.stdout.fileno())
    if seconds > MAX_AUDIO_SECONDS:
        raise ValueError(LASTS_TOO_LONG)
    return {"kind": kind, "seconds": round(seconds, 3)}


def main() -> None:
    """Look at the file on the standard input, within the limits."""
    limit_process(memory=MAX_READER_BYTES, seconds=MAX_PROCESSOR_SECONDS, output=MAX_PHONE_BYTES)
    try:
        found = looked_at(sys.argv[1])
    except (ValueError, DamagedMp3, DamagedWav) as error:
        exit_refused(str(error))
    except (ImportError, OSError):  # no fault of the file: a library is missing, or the disk is full
        raise
    except Exception as error:  # whatever a library meets in what a stranger has put into a file
        exit_refused("is damaged, and cannot be read: export it anew", error)
    with suppress(BrokenPipeError):
        print(json.dumps(found), file=sys.stderr)


if __name__ == "__main__":
    main()

"""The kinds of audio file, told by their first bytes, and not by their names."""

from __future__ import annotations

import codecs

WAV, MP3 = "wav", "mp3"
# As a provider knows them (https://www.twilio.com/docs/voice/twiml/play#supported-audio-file-types).
AUDIO_TYPES = {WAV: "audio/wav", MP3: "audio/mpeg"}
MAX_AUDIO_SECONDS = 1800.0
# Of a file, what tells its kind.
HEAD_BYTES = 512
CONVERT = "convert it to WAV or MP3"

# What other files begin with, and what they are.
_OTHER_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"FORM", "an AIFF file"),
    (b".snd", "a Sun audio file"),
    (b"caff", "a Core Audio file"),
    (b"#!AMR", "an AMR file"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (b"MThd", "a MIDI file"),
    (b"RIFF", "a RIFF file that holds no WAV"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
)
# The ending that a file of each kind has.
_ENDINGS = {"wav": WAV, "wave": WAV, "mp3": MP3}


def kind_of(head: bytes) -> str | None:
    """WAV or MP3, by the first HEAD_BYTES of a file; None for any other."""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return WAV
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06):
        return None if head[:3] == b"\xff\xd8\xff" else MP3
    return None


def described(head: bytes) -> str:
    """What a file that is neither WAV nor MP3 is, by its first bytes, and what to do: ``is an Ogg file: …``."""
    if not head:
        return "is empty"
    if head[4:8] == b"ftyp":
        return f"is an MPEG-4 file (such as .m4a or .mp4): {CONVERT}"
    for beginning, noun in _OTHER_KINDS:
        if head.startswith(beginning):
            return f"is {noun}: {CONVERT}"
    if _is_text(head):
        return "is a text, not a sound: send a WAV or an MP3 file"
    return f"is neither a WAV nor an MP3 file: {CONVERT}"


def name_problem(filename: str, kind: str) -> str | None:
    """What is wrong with the ending of a file's name, if it promises a kind other than KIND."""
    _, dot, ending = filename.rpartition(".")
    promised = _ENDINGS.get(ending.lower()) if dot else None
    if promised in (None, kind):
        return None
    noun = "an MP3" if kind == MP3 else "a WAV"
    return f"is {noun} file, but its name ends in .{ending}: name it .{kind}, or send the one that was meant"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)

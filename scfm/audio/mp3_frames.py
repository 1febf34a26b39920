"""MP3: its frames are walked from the first to the last, as what a header says of the whole need not be true.

ISO/IEC 11172-3, section 2.4.1.3, for the header of a frame, and 13818-3 for the lower rates; the tags before and
behind the frames are those of ID3 (https://id3.org), and APE; http://gabriel.mp3-tech.org/mp3infotag.html tells of
the first frame, which may say how many there are.
"""

from __future__ import annotations

from typing import NamedTuple

# Of version 1, and of 2 and 2.5: kbit/s by the index in the header; 0 is free, 15 is not allowed.
_BIT_RATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LAYER_III = 1
# Bytes between frames that are no frames, in all.
MAX_JUNK = 4096
# So many frames more or fewer than the first one says are no lie.
SLACK_FRAMES = 8
MP3_NOT_READ = "is an MP3 file that cannot be read: export it anew"


class DamagedMp3(Exception):
    """The file is no whole MP3; its text says what is wrong."""


class _Frame(NamedTuple):
    """``sort``: what all frames of a file have in common: its version and sample rate. ``size`` is in bytes."""

    sort: tuple[int, int]
    samples: int
    size: int
    side_info: int


def mp3_seconds(content: bytes, longest: float) -> float:
    """How long an MP3 is, at most a little more than LONGEST; raises DamagedMp3."""
    position, end = _frames_begin(content), _frames_end(content)
    first = _first_frame(content, position, end)
    frame = _frame_at(content, first, end)
    assert frame is not None
    sort, rate = frame.sort, frame.sort[1]
    promised = _promised_frames(content, first, frame)
    position, frames, junk = first if promised is None else first + frame.size, 0, first - position
    most = longest * rate / frame.samples + 1
    while position < end and frames <= most:
        found = _frame_at(content, position, end)
        if found is not None and found.sort == sort:
            if position + found.size > end:  # the last one, which is cut
                break
            frames += 1
            position += found.size
            continue
        following = content.find(b"\xff", position + 1, end)
        junk += (following if following >= 0 else end) - position
        position = following if following >= 0 else end
        if junk > MAX_JUNK:
            raise DamagedMp3(f"is damaged: after {frames * frame.samples / rate:.1f} s it is no MP3: export it anew")
    if not frames:
        raise DamagedMp3("holds no sound")
    if promised is not None and frames < promised - max(SLACK_FRAMES, promised // 100) and frames <= most:
        raise DamagedMp3(
            f"is cut off: its header says {promised * frame.samples / rate:.1f} s, but it has "
            f"{frames * frame.samples / rate:.1f} s: send it again"
        )
    return frames * frame.samples / rate


def _first_frame(content: bytes, position: int, end: int) -> int:
    """Where the first of two frames is that follow one another, or the only one; raises DamagedMp3."""
    begin = position
    while 0 <= position < min(end, begin + MAX_JUNK):
        frame = _frame_at(content, position, end)
        if frame is not None:
            following = position + frame.size
            after = _frame_at(content, following, end)
            if following == end or (after is not None and after.sort == frame.sort):
                return position
        position = content.find(b"\xff", position + 1, end)
    raise DamagedMp3(MP3_NOT_READ)


def _frame_at(content: bytes, position: int, end: int) -> _Frame | None:
    """The frame of layer III whose header is at POSITION; None where there is none."""
    if position + 4 > end or content[position] != 0xFF or content[position + 1] & 0xE0 != 0xE0:
        return None
    second, third, fourth = content[position + 1 : position + 4]
    version, layer = second >> 3 & 3, second >> 1 & 3
    if version == 1 or layer != _LAYER_III or third >> 2 & 3 == 3:
        return None
    kilobits, rate = _BIT_RATES[3 if version == 3 else 2][third >> 4], _SAMPLE_RATES[version][third >> 2 & 3]
    if not kilobits:
        return None
    samples = 1152 if version == 3 else 576
    mono = fourth >> 6 == 3
    side_info = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return _Frame((version, rate), samples, samples * 125 * kilobits // rate + (third >> 1 & 1), side_info)


def _promised_frames(content: bytes, first: int, frame: _Frame) -> int | None:
    """How many frames follow the first, as that says, which then holds no sound; None where it says nothing."""
    body = content[first : first + frame.size]
    at = 4 + frame.side_info
    if body[at : at + 4] in (b"Xing", b"Info"):
        has_count = body[at + 7 : at + 8] and body[at + 7] & 1
        return int.from_bytes(body[at + 8 : at + 12], "big") if has_count else 0
    if body[36:40] == b"VBRI":
        return int.from_bytes(body[50:54], "big")
    return None


def _frames_begin(content: bytes) -> int:
    """Where the tags before the frames end (ID3v2, of which there may be some)."""
    position = 0
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        size = 0
        for byte in content[position + 6 : position + 10]:
            size = size << 7 | byte & 0x7F
        position += 10 + size + (10 if content[position + 5] & 0x10 else 0)
    if position >= len(content) and position:
        raise DamagedMp3("is cut off: it ends within what comes before its sound: send it again")
    while position < len(content) and content[position] == 0:  # padding
        position += 1
    return position


def _frames_end(content: bytes) -> int:
    """Where the tags behind the frames begin (ID3v1, APE)."""
    end = len(content)
    if content[end - 128 : end - 125] == b"TAG":
        end -= 128
    if content[end - 32 : end - 24] == b"APETAGEX":
        size = int.from_bytes(content[end - 20 : end - 16], "little") + 32
        end = max(end - size, 0)
    return end

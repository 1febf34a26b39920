"""Recordings of simulated phones: whatever is said, what is kept of it is a tone."""

from __future__ import annotations

import io
import math
import wave
from array import array

from scfm.simulator.call import new_sid

# As Twilio records: 8,000 samples a second of 16 bits.
RECORDING_RATE = 8000
HERTZ, LOUDNESS = 440, 8000
# So many samples are a whole number of waves.
PERIOD = 200
MAX_RECORDED_SECONDS = 600


def recording_sid(seconds: float) -> str:
    """The id of a new recording, in which its length stands: nothing else is kept of it."""
    return f"{new_sid('RE')[:-4]}{min(max(round(seconds), 1), MAX_RECORDED_SECONDS):04x}"


def recording(sid: str) -> bytes:
    """The recording with that id, 34 characters that end in hexadecimal digits, as a WAV."""
    samples = array(
        "h", (round(LOUDNESS * math.sin(2 * math.pi * HERTZ * one / RECORDING_RATE)) for one in range(PERIOD))
    )
    seconds = min(max(int(sid[-4:], 16), 1), MAX_RECORDED_SECONDS)
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RECORDING_RATE)
        file.writeframes(samples.tobytes() * (seconds * RECORDING_RATE // PERIOD))
    return written.getvalue()

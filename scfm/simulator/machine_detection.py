"""Finding out whether a person or a machine has answered, as slowly as carriers do.

https://www.twilio.com/docs/voice/answering-machine-detection
"""

from __future__ import annotations

import asyncio

from scfm.simulator.call import ENDED, Call
from scfm.simulator.callbacks import Callbacks
from scfm.simulator.callee import Callee

# Seconds of life: until a person, and until a machine is known; and until a machine's greeting has ended.
HUMAN_SECONDS, MACHINE_SECONDS, GREETING_SECONDS = 2.0, 4.0, 12.0


async def detect(call: Call, callee: Callee, callbacks: Callbacks, life_size: float) -> None:
    """Find out what has answered a call, and tell whoever wants to be told meanwhile.

    ``life_size``: real seconds per second of life. A call that does not go on meanwhile lasts that much longer.
    """
    if not callee.machine:
        word, seconds = "human", HUMAN_SECONDS
    elif call.options.machine_detection == "DetectMessageEnd":
        word, seconds = "machine_end_beep", GREETING_SECONDS
    else:
        word, seconds = "machine_start", MACHINE_SECONDS
    if not call.options.async_amd:
        call.seconds += seconds
    await asyncio.sleep(seconds * life_size)
    if call.status not in ENDED:
        call.answered_by = word
        await callbacks.tell_answered_by(call, seconds)

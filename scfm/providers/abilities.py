"""What each provider honours of a request for a call, and how fast it places calls; docs/providers.md has the table.

Sources: Twilio's pages "Call resource", "Answering Machine Detection", "Voice TwiML" and error 22005 ("Call Queue
Full"); SignalWire's "Compatibility API: create a call" and "Rate limits"; in the source of Somleng the schema of a
request (``TwilioAPI::PhoneCallRequestSchema``), which ignores what it does not list. SignalWire is used by its base
URL, as if it were Twilio: https://SPACE.signalwire.com/api/laml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from scfm.providers.credentials import Credentials

# Twilio's bound on the parameter Twiml, in characters.
MAX_INLINE_TWIML = 4000
SIGNALWIRE_HOST, SIGNALWIRE_PATH = ".signalwire.com", "/api/laml"


@dataclass(frozen=True)
class Abilities:
    """What a provider does with a call; its name is for people.

    ``ring_timeout``, ``status_callback_events`` and ``recording``: whether it honours ``timeout``,
    ``status_callback_event`` and ``record``. ``machine_detection``: whether it tells who answered, and
    ``asynchronous_detection`` whether it does so while the call goes on. ``inline_twiml``: how many characters of
    TwiML it takes inside a request. ``queue_hours`` and ``queue_calls``: how much it queues. ``calls_per_second``:
    what it places by default. Each of these is None where it has no such bound, or none is known. ``life_size``: how
    many seconds a second of a call takes.
    """

    name: str
    ring_timeout: bool
    machine_detection: bool
    asynchronous_detection: bool
    status_callback_events: bool
    recording: bool
    hanging_up: bool
    inline_twiml: int
    queue_hours: int | None
    queue_calls: int | None
    calls_per_second: float | None
    life_size: float = 1.0

    def ignored(self, params: Mapping[str, Any]) -> list[str]:
        """Those of the request's parameters, as a client names them, that the provider does nothing with."""
        honoured = {
            "timeout": self.ring_timeout,
            "machine_detection": self.machine_detection,
            "async_amd": self.asynchronous_detection,
            "status_callback_event": self.status_callback_events,
            "record": self.recording,
        }
        return [name for name in params if not honoured.get(name, True) and params[name] is not None]


TWILIO = Abilities(
    name="Twilio",
    ring_timeout=True,
    machine_detection=True,
    asynchronous_detection=True,
    status_callback_events=True,
    recording=True,
    hanging_up=True,
    inline_twiml=MAX_INLINE_TWIML,
    queue_hours=24,
    queue_calls=None,
    calls_per_second=1,
)
SOMLENG = Abilities(
    name="Somleng",
    ring_timeout=False,
    machine_detection=False,
    asynchronous_detection=False,
    status_callback_events=False,
    recording=False,
    hanging_up=True,
    inline_twiml=MAX_INLINE_TWIML,
    queue_hours=None,
    queue_calls=None,
    calls_per_second=1,
)
SIGNALWIRE = replace(TWILIO, name="SignalWire", queue_hours=None, queue_calls=10_000)
SIMULATOR = replace(
    TWILIO, name="Simulator", recording=False, queue_hours=None, calls_per_second=None, life_size=0.005
)
ALL = (TWILIO, SOMLENG, SIGNALWIRE, SIMULATOR)


def abilities_of(credentials: Credentials) -> Abilities:
    """Those of the provider that the credentials are for."""
    if credentials.provider == "twilio":
        return SIGNALWIRE if is_signalwire(credentials.base_url) else TWILIO
    return {"somleng": SOMLENG, "simulator": SIMULATOR}[credentials.provider]


@lru_cache(maxsize=64)
def is_signalwire(base_url: str | None) -> bool:
    """Whether a base URL is SignalWire's: by its host, or by the path that leads to Twilio's API there."""
    if base_url is None:
        return False
    try:
        url = urlsplit(base_url)
        host = url.hostname or ""
    except ValueError:
        return False
    return host.endswith(SIGNALWIRE_HOST) or url.path.rstrip("/").endswith(SIGNALWIRE_PATH)

"""What a client asks of a call, as Twilio reads it (https://www.twilio.com/docs/voice/api/call-resource)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from scfm.simulator.api_error import ApiError

DETECTIONS = ("Enable", "DetectMessageEnd")
CALLBACK_EVENTS = ("initiated", "ringing", "answered", "completed")

_ABSENT = [""]

# Twilio's test numbers (https://www.twilio.com/docs/iam/test-credentials), each refused in its own way.
_REFUSED_TO = {
    "+15005550001": (21217, "Phone number does not appear to be valid: +15005550001"),
    "+15005550002": (21214, "'To' number cannot be reached: +15005550002"),
    "+15005550003": (21215, "Account not authorized to call +15005550003. Geo permissions do not allow it."),
    "+15005550004": (21216, "Account not allowed to call +15005550004"),
}


class Form:
    """The parameters of a request: each name has one value or more, and the last one counts."""

    def __init__(self, arguments: Mapping[str, Sequence[bytes]]) -> None:
        self._values = {
            name: [value.decode("utf-8", "replace").strip() for value in values] for name, values in arguments.items()
        }

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, _ABSENT)[-1]

    def __contains__(self, name: str) -> bool:
        return self[name] != ""

    def all(self, name: str) -> list[str]:
        """Every value of that name."""
        return self._values.get(name, [])


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What to do once a call is answered, and whom to tell. ``timeout``, ``time_limit``: seconds of life.

    ``machine_detection``: '', ``Enable`` or ``DetectMessageEnd``. With ``async_amd`` the call goes on meanwhile, and
    what has answered is told to ``async_amd_callback`` (https://www.twilio.com/docs/voice/answering-machine-detection).
    """

    url: str = ""
    method: str = "POST"
    twiml: str = ""
    fallback_url: str = ""
    fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})
    timeout: float = 60.0
    time_limit: float = 14400.0
    machine_detection: str = ""
    async_amd: bool = False
    async_amd_callback: str = ""
    async_amd_callback_method: str = "POST"

    @property
    def are_known(self) -> bool:
        """Whether they say what is to be heard; an older version kept only whom to tell of the end."""
        return bool(self.url or self.twiml)

    @classmethod
    def read(cls, form: Form) -> CallOptions:
        """The options in the parameters of a create request. Raises ApiError."""
        if not any(name in form for name in ("Url", "Twiml", "ApplicationSid")):
            raise ApiError(400, 21205, "Url parameter is required.")
        events = {event for value in form.all("StatusCallbackEvent") for event in value.split()}
        return cls(
            url=_url(form, "Url", 21205),
            method=method(form, "Method"),
            twiml=form["Twiml"],
            fallback_url=_url(form, "FallbackUrl", 21206),
            fallback_method=method(form, "FallbackMethod"),
            status_callback=_url(form, "StatusCallback", 21609),
            status_callback_method=method(form, "StatusCallbackMethod"),
            events=frozenset(events & set(CALLBACK_EVENTS)) or frozenset({"completed"}),
            timeout=_seconds(form, "Timeout", 60.0, largest=600.0),
            time_limit=_seconds(form, "TimeLimit", 14400.0, largest=14400.0),
            machine_detection=_machine_detection(form),
            async_amd=form["AsyncAmd"].lower() == "true",
            async_amd_callback=_url(form, "AsyncAmdStatusCallback", 21609),
            async_amd_callback_method=method(form, "AsyncAmdStatusCallbackMethod"),
        )


def read_to(form: Form) -> str:
    """The number to call, in E.164. Raises ApiError."""
    if "To" not in form:
        raise ApiError(400, 21201, "No 'To' number is specified")
    number = _e164(form["To"])
    if number is None:
        raise ApiError(400, 21211, f"The phone number you are attempting to call, {form['To']}, is not valid.")
    if number in _REFUSED_TO:
        raise ApiError(400, *_REFUSED_TO[number])
    return number


def read_from(form: Form) -> str:
    """The number that calls: E.164, or a short code as other carriers allow. Raises ApiError."""
    if "From" not in form:
        raise ApiError(400, 21213, "No 'From' number is specified")
    if form["From"] == "+15005550001" or not re.fullmatch(r"\+?[\d ().-]+|(client|sip):.+", form["From"]):
        raise ApiError(400, 21212, f"The 'From' number {form['From']} is not a valid phone number.")
    return form["From"]


def method(form: Form, name: str) -> str:
    """GET or POST, which is what Twilio takes for anything else."""
    return "GET" if form[name].upper() == "GET" else "POST"


def _machine_detection(form: Form) -> str:
    """Enable, DetectMessageEnd, or nothing. Raises ApiError."""
    given = form["MachineDetection"]
    if given not in ("", *DETECTIONS):
        raise ApiError(400, 21276, f"MachineDetection is not valid: {given}")
    return given


def _e164(text: str) -> str | None:
    """The number without punctuation; numbers of the USA may lack the + and the country code."""
    if text.startswith(("client:", "sip:")):
        return text
    number = re.sub(r"[\s().-]", "", text)
    if re.fullmatch(r"1?[2-9][0-9]{9}", number):
        number = f"+1{number[-10:]}"
    return number if re.fullmatch(r"\+[1-9][0-9]{6,14}", number) else None


def _url(form: Form, name: str, code: int) -> str:
    """An absolute URL, or nothing. Raises ApiError."""
    if name not in form:
        return ""
    try:
        parts = urlsplit(form[name])
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid:
        raise ApiError(400, code, f"{name} is not a valid URL: {form[name]}")
    return form[name]


def _seconds(form: Form, name: str, default: float, largest: float) -> float:
    """A number of seconds; what cannot be one means the default, as with Twilio."""
    text = form[name]
    return min(float(text), largest) if re.fullmatch(r"[0-9]{1,9}", text) else default

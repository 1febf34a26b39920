"""The interpreter of TwiML: walks a document the way a phone does, verb by verb, up to the next request. No I/O.

A rehearsal drives it at once, the simulated phone over HTTP and in time. The rules and the attributes' defaults are
those of https://www.twilio.com/docs/voice/twiml.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from scfm.errors import ScfmError

# The verbs that one phone can follow, with the defaults of their attributes. For numDigits 0 is any number.
_ACTION = {"action": "", "method": "POST", "timeout": "5"}
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "Say": {"loop": "1"},
    "Play": {"loop": "1", "digits": ""},
    "Pause": {"length": "1"},
    "Gather": {
        **_ACTION,
        "input": "dtmf",
        "numDigits": "0",
        "finishOnKey": "#",
        "actionOnEmptyResult": "false",
    },
    "Record": {**_ACTION, "maxLength": "3600", "finishOnKey": "1234567890*#"},
    "Redirect": {"method": "POST"},
    "Hangup": {},
    "Reject": {"reason": "rejected"},
}
PROMPTS = ("Say", "Play", "Pause")
NUMBERS = ("loop", "length", "timeout", "numDigits", "maxLength")
# Verbs of TwiML that need more than one phone, or more than a phone.
NOT_SIMULATED = (
    *("Connect", "Dial", "Enqueue", "Leave", "Pay", "Prompt"),
    *("Refer", "Siprec", "Sms", "Start", "Stop", "Stream"),
)


class TwimlError(ScfmError):
    """The document is no TwiML; a provider would drop the call."""


@dataclass(frozen=True)
class Verb:
    """One verb: its name, the attributes that were written, its text, and the verbs inside it."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    nested: tuple[Verb, ...] = ()

    def __getitem__(self, attribute: str) -> str:
        """What the attribute is, or is by default."""
        return self.attributes.get(attribute, DEFAULTS[self.name][attribute])

    def number(self, attribute: str) -> int:
        """The attribute as a number; the default stands for what is none."""
        text = self[attribute]
        return int(text if _is_number(text) else DEFAULTS[self.name][attribute])

    @property
    def asks(self) -> bool:
        """Whether it waits for an answer."""
        return self.name in ("Gather", "Record")

    @property
    def known(self) -> bool:
        """Whether a phone knows what to do with it."""
        return self.name in DEFAULTS

    @property
    def warnings(self) -> list[str]:
        """What is wrong with it, in words."""
        if self.name in NOT_SIMULATED:
            return [f"<{self.name}> is passed over: it is not simulated"]
        if not self.known:
            return [f"<{self.name}> is passed over: TwiML has no such verb here"]
        return [
            f"<{self.name}> has {name}={text!r}, which is not a number"
            for name, text in self.attributes.items()
            if name in NUMBERS and not _is_number(text) and (name, text) != ("timeout", "auto")
        ]


@dataclass(frozen=True)
class CalleeAnswer:
    """What the callee does when asked: keys, words, some seconds of a recording. Nothing is silence.

    ``hung_up``: the call ends with the recording.
    """

    digits: str = ""
    speech: str = ""
    recording_url: str = ""
    seconds: float = 0
    hung_up: bool = False


@dataclass(frozen=True)
class NextRequest:
    """What the provider asks for next; PARAMS come on top of those that every webhook carries.

    ``last``: the callee is gone, and nobody hears what it brings.
    """

    url: str
    method: str = "POST"
    params: Mapping[str, str] = field(default_factory=dict)
    last: bool = False


@dataclass(frozen=True)
class End:
    """The call is over: ``hangup``, ``rejected`` or ``busy`` (both by Reject), or ``end`` when no verb is left."""

    reason: str


Walk = Generator[Verb, CalleeAnswer | None, NextRequest | End]


def parse(text: str | bytes) -> tuple[Verb, ...]:
    """The verbs of a document. Raises TwimlError for what is not a ``<Response>`` document."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise TwimlError(f"the answer is not XML: {error}") from None
    if root.tag != "Response":
        raise TwimlError(f"the answer is a <{root.tag}> document, not a <Response>")
    return tuple(map(_verb, root))


def walk(verbs: Iterable[Verb], url: str) -> Walk:
    """Yields each verb of the document at URL as the callee meets it; returns the NextRequest or End it leads to.

    A Gather's prompts come before the Gather itself. To a verb that ``asks`` send the CalleeAnswer; None is silence:

        walking = walk(parse(text), url)
        verb = next(walking)
        verb = walking.send(CalleeAnswer(digits="1") if verb.asks else None)

    A callee who hangs up is a walk that is not gone on with. Unknown verbs are yielded and passed over.
    """
    for verb in _as_heard(verbs):
        is_link = verb.name == "Redirect" or (verb.name == "Play" and verb.text != "")
        met = replace(verb, text=urljoin(url, verb.text)) if is_link else verb
        answer = (yield met) or CalleeAnswer()
        way = _way(met, answer, url)
        if way is not None:
            return way
    return End("end")


def heard(verb: Verb, answer: CalleeAnswer) -> dict[str, str] | None:
    """What the provider reports of the answer to a Gather or a Record; None if that counts as silence."""
    return _gathered(verb, answer) if verb.name == "Gather" else _recorded(verb, answer)


def _verb(element: Element) -> Verb:
    # What is said may be marked up: <Say>It is <emphasis>urgent</emphasis>.</Say>
    said = element.tag == "Say"
    text = " ".join("".join(element.itertext()).split()) if said else (element.text or "").strip()
    return Verb(element.tag, dict(element.attrib), text, tuple(map(_verb, element)))


def _as_heard(verbs: Iterable[Verb]) -> Iterator[Verb]:
    """The verbs in the order they are met: what is nested in a Gather first, then the Gather, which waits."""
    for verb in verbs:
        if verb.name == "Gather":
            yield from map(_inside_gather, verb.nested)
        yield verb


def _inside_gather(verb: Verb) -> Verb:
    """A Gather may hold prompts only; another verb is unknown there."""
    return verb if verb.name in PROMPTS else replace(verb, name=f"Gather/{verb.name}")


def _way(verb: Verb, answer: CalleeAnswer, url: str) -> NextRequest | End | None:
    """Where the verb leads; None for the next verb."""
    if verb.asks:
        params = heard(verb, answer)
        action = urljoin(url, verb["action"])
        return None if params is None else NextRequest(action, _method(verb), params, answer.hung_up)
    if verb.name == "Redirect":
        return NextRequest(verb.text, _method(verb))
    if verb.name == "Reject":
        return End("busy" if verb["reason"] == "busy" else "rejected")
    return End("hangup") if verb.name == "Hangup" else None


def _gathered(verb: Verb, answer: CalleeAnswer) -> dict[str, str] | None:
    takes = verb["input"].split()
    digits = _typed(verb, answer.digits) if "dtmf" in takes else ""
    if digits:
        return {"Digits": digits}
    if answer.speech and "speech" in takes:
        return {"SpeechResult": answer.speech, "Confidence": "0.95"}
    return {"Digits": ""} if verb["actionOnEmptyResult"].lower() == "true" else None


def _typed(gather: Verb, keys: str) -> str:
    """The keys that count: up to finishOnKey, and no more than numDigits."""
    finish = gather["finishOnKey"]
    digits = keys.partition(finish)[0] if finish else keys
    return digits[: gather.number("numDigits") or None]


def _recorded(verb: Verb, answer: CalleeAnswer) -> dict[str, str] | None:
    # An empty recording makes no request: https://www.twilio.com/docs/voice/twiml/record
    seconds = min(answer.seconds, verb.number("maxLength"))
    if seconds <= 0:
        return None
    recording = {
        "RecordingUrl": answer.recording_url,
        "RecordingSid": answer.recording_url.rpartition("/")[2],
        "RecordingDuration": str(round(seconds)),
    }
    key = "hangup" if answer.hung_up else answer.digits[:1]
    return {**recording, "Digits": key} if answer.hung_up or (key and key in verb["finishOnKey"]) else recording


def _method(verb: Verb) -> str:
    """GET or POST, which is what Twilio takes for anything else."""
    return "GET" if verb["method"].upper() == "GET" else "POST"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10

"""Walks a TwiML document the way a phone does, verb by verb, up to the next request. It does no I/O.

The rules and default attributes are those of https://www.twilio.com/docs/voice/twiml.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from scfm.errors import ScfmError

PROMPTS = ("Say", "Play", "Pause")
QUESTIONS = ("Gather", "Record")
TRANSFERS = ("Redirect", "Hangup", "Reject")


class TwimlError(ScfmError):
    """The document is no TwiML; a provider would drop the call."""


@dataclass(frozen=True)
class Verb:
    """One verb: its name, its attributes, its text, and the verbs inside it."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    nested: tuple[Verb, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether it waits for an answer."""
        return self.name in QUESTIONS

    @property
    def known(self) -> bool:
        """Whether this phone knows what to do with it."""
        return self.name in (*PROMPTS, *QUESTIONS, *TRANSFERS)


@dataclass(frozen=True)
class Answer:
    """What the callee does when asked: keys, words, a recording of some seconds. Nothing is silence."""

    digits: str = ""
    speech: str = ""
    recording_url: str = ""
    seconds: int = 0


@dataclass(frozen=True)
class Request:
    """What the provider asks for next; PARAMS come on top of those that every webhook carries."""

    url: str
    method: str = "POST"
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """The call is over: ``hangup``, ``reject``, or ``end`` when no verb is left."""

    reason: str


Walk = Generator[Verb, Answer | None, Request | End]


def parse(text: str | bytes) -> tuple[Verb, ...]:
    """The verbs of a document. Raises TwimlError for what is not a ``<Response>`` document."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise TwimlError(f"the answer is not XML: {error}") from None
    if root.tag != "Response":
        raise TwimlError(f"the answer is a <{root.tag}> document, not a <Response>")
    return tuple(map(_verb, root))


def walk(text: str | bytes, url: str) -> Walk:
    """Yields each verb of the document at URL as the callee meets it; returns the Request or End it leads to.

    A Gather's prompts come before the Gather itself. To a verb that ``asks`` send the Answer; None is silence:

        walking = walk(text, url)
        verb = next(walking)
        verb = walking.send(Answer(digits="1") if verb.asks else None)

    A callee who hangs up is a walk that is not gone on with. Unknown verbs are yielded and passed over.
    Raises TwimlError, at the first ``next``, for what is not TwiML.
    """
    for verb in _as_heard(parse(text)):
        answer = (yield verb) or Answer()
        way = _way(verb, answer, url)
        if way is not None:
            return way
    return End("end")


def gathered(verb: Verb, digits: str) -> str:
    """Which of the keys DIGITS the Gather VERB takes: up to numDigits of them, or to finishOnKey (``#``)."""
    limit = verb.attributes.get("numDigits", "")
    finish = verb.attributes.get("finishOnKey", "#")
    taken = ""
    for key in digits:
        if key in finish or (limit.isdecimal() and len(taken) == int(limit)):
            break
        taken += key
    return taken


def _verb(element: Element) -> Verb:
    # What is said may be marked up: <Say>It is <emphasis>urgent</emphasis>.</Say>
    text = "".join(element.itertext()) if element.tag in PROMPTS else element.text or ""
    return Verb(element.tag, dict(element.attrib), text.strip(), tuple(map(_verb, element)))


def _as_heard(verbs: Iterable[Verb]) -> Iterator[Verb]:
    """The verbs in the order they are met: what is nested in a Gather first, then the Gather, which waits."""
    for verb in verbs:
        if verb.name == "Gather":
            yield from map(_inside_gather, verb.nested)
        yield verb


def _inside_gather(verb: Verb) -> Verb:
    """A Gather may hold prompts only; another verb is unknown there."""
    return verb if verb.name in PROMPTS else replace(verb, name=f"Gather/{verb.name}")


def _way(verb: Verb, answer: Answer, url: str) -> Request | End | None:
    """Where the verb leads; None for the next verb."""
    if verb.name == "Gather":
        return _submitted(verb, _gather_params(verb, answer), url)
    if verb.name == "Record":
        return _submitted(verb, _record_params(verb, answer), url)
    if verb.name == "Redirect":
        return Request(urljoin(url, verb.text), _method(verb))
    if verb.name in ("Hangup", "Reject"):
        return End(verb.name.lower())
    return None


def _submitted(verb: Verb, params: Mapping[str, str] | None, url: str) -> Request | None:
    if params is None:
        return None
    return Request(urljoin(url, verb.attributes.get("action", "")), _method(verb), params)


def _gather_params(verb: Verb, answer: Answer) -> dict[str, str] | None:
    takes = verb.attributes.get("input", "dtmf").split()
    digits = gathered(verb, answer.digits) if "dtmf" in takes else ""
    if digits:
        return {"Digits": digits}
    if answer.speech and "speech" in takes:
        return {"SpeechResult": answer.speech, "Confidence": "0.9"}
    return {"Digits": ""} if verb.attributes.get("actionOnEmptyResult") == "true" else None


def _record_params(verb: Verb, answer: Answer) -> dict[str, str] | None:
    # An empty recording makes no request: https://www.twilio.com/docs/voice/twiml/record
    if not answer.recording_url:
        return None
    params = {"RecordingUrl": answer.recording_url, "RecordingDuration": str(answer.seconds)}
    if answer.digits and answer.digits[0] in verb.attributes.get("finishOnKey", "1234567890*#"):
        params["Digits"] = answer.digits[0]
    return params


def _method(verb: Verb) -> str:
    return verb.attributes.get("method", "POST").upper()

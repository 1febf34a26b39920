"""What a provider takes in a document: verbs, where they may stand, their attributes and values.

As https://www.twilio.com/docs/voice/twiml has them, as far as flows use them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from scfm.twiml.interpreter import TwimlError, Verb, parse

# https://www.twilio.com/docs/api/errors/11750
MAX_TWIML_BYTES = 1 << 16
# https://www.twilio.com/docs/voice/twiml/say: 4 KB in one verb, so bytes and not letters.
MAX_SAY_BYTES = 1 << 12

_NUMBER, _POSITIVE = re.compile("[0-9]{1,9}"), re.compile("[1-9][0-9]{0,8}")
_URL = re.compile(r"https?://\S+")
_METHOD, _BOOLEAN = re.compile("GET|POST"), re.compile("true|false")
_KEYS = re.compile("[0-9*#]*")
_LANGUAGE = re.compile("[a-z]{2,3}(-[A-Za-z0-9]+)+")
_ACTION = {"action": _URL, "method": _METHOD}


class VerbRule(NamedTuple):
    """What one verb takes: each attribute with its values, its text, and the verbs inside it."""

    attributes: Mapping[str, re.Pattern[str]]
    text: re.Pattern[str] = re.compile("")
    inside: frozenset[str] = frozenset()


VERB_RULES: Mapping[str, VerbRule] = {
    "Say": VerbRule({"language": _LANGUAGE, "loop": _NUMBER, "voice": re.compile(".+")}, re.compile(r"(?s).*\S.*")),
    "Play": VerbRule({"loop": _NUMBER, "digits": re.compile("[0-9*#wW]+")}, re.compile(rf"({_URL.pattern})?")),
    "Pause": VerbRule({"length": _POSITIVE}),
    "Gather": VerbRule(
        {
            **_ACTION,
            "input": re.compile("dtmf|speech|dtmf speech|speech dtmf"),
            "timeout": re.compile(f"auto|{_POSITIVE.pattern}"),
            "numDigits": _POSITIVE,
            "finishOnKey": re.compile("[0-9*#]?"),
            "actionOnEmptyResult": _BOOLEAN,
            "language": _LANGUAGE,
        },
        inside=frozenset({"Say", "Play", "Pause"}),
    ),
    "Record": VerbRule(
        {
            **_ACTION,
            "timeout": _POSITIVE,
            "maxLength": re.compile("[1-9][0-9]{0,3}|1[0-3][0-9]{3}|14[0-3][0-9]{2}|14400"),
            "finishOnKey": _KEYS,
            "playBeep": _BOOLEAN,
            "trim": re.compile("trim-silence|do-not-trim"),
        }
    ),
    "Dial": VerbRule(
        {**_ACTION, "timeout": _POSITIVE, "timeLimit": _POSITIVE, "callerId": re.compile(r"\+?[0-9]+")},
        re.compile(r"\+?[0-9]{3,15}"),
    ),
    "Redirect": VerbRule({"method": _METHOD}, _URL),
    "Hangup": VerbRule({}),
    "Reject": VerbRule({"reason": re.compile("rejected|busy")}),
}


def twiml_problems(twiml: str) -> list[str]:
    """What a provider would not take in a document; empty if it takes all of it."""
    size = len(twiml.encode())
    if size > MAX_TWIML_BYTES:
        return [f"the document has {size} bytes, and a provider takes at most {MAX_TWIML_BYTES}"]
    try:
        verbs = parse(twiml)
    except TwimlError as error:
        return [str(error)]
    return [problem for verb in verbs for problem in _problems(verb, frozenset(VERB_RULES), "<Response>")]


def _problems(verb: Verb, allowed: frozenset[str], where: str) -> Iterator[str]:
    if verb.name not in allowed:
        yield f"<{verb.name}> may not stand in {where}"
        return
    rule, shown = VERB_RULES[verb.name], f"<{verb.name}>"
    for name, value in verb.attributes.items():
        if name not in rule.attributes:
            yield f"{shown} has no attribute {name}"
        elif not rule.attributes[name].fullmatch(value):
            yield f"{shown} has {name}={value!r}, which is none of its values"
    if not rule.text.fullmatch(verb.text):
        yield f"{shown} has the text {verb.text[:80]!r}, which is none of its values"
    if verb.name == "Play" and not (verb.text or verb.attributes.get("digits")):
        yield f"{shown} plays nothing"
    if verb.name == "Say" and len(verb.text.encode()) > MAX_SAY_BYTES:
        yield f"{shown} has {len(verb.text.encode())} bytes, and a provider says at most {MAX_SAY_BYTES} at once"
    for inner in verb.nested:
        yield from _problems(inner, rule.inside, shown)

"""The examples of a definition: calls that must go as they say, before a version of it is published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin

from scfm.twiml.definition import Example
from scfm.twiml.definition_flow import DefinitionFlow
from scfm.twiml.definition_prompt import played_url
from scfm.twiml.definition_text import value_at
from scfm.twiml.flow import ContactView, FlowSettings
from scfm.twiml.interpreter import Verb
from scfm.twiml.rehearsal import CONTACT_MSISDN, URL, Rehearsal, rehearse

# So many turns of all examples are taken: they are rehearsed while somebody waits, and calls go on.
MAX_TURNS_OF_ALL = 3000
# Of the calls that go otherwise, so many characters are shown.
MAX_TRANSCRIPT_TEXT = 1 << 18
TOO_MANY_TURNS = f"the examples before this one have {MAX_TURNS_OF_ALL} turns already: give fewer, or shorter ones"


class CheckedExamples(NamedTuple):
    """What is wrong with the examples: ``/0: what was expected, and what happened``; and such calls as text.

    The transcripts have MAX_TRANSCRIPT_TEXT characters at most: what is beyond is cut off.
    """

    errors: list[str]
    transcripts: list[str]


def check_examples(flow: type[DefinitionFlow], settings: FlowSettings | None = None) -> CheckedExamples:
    """Rehearse each example of FLOW's definition, with SETTINGS those of its account."""
    checked = CheckedExamples([], [])
    turns, room = 0, MAX_TRANSCRIPT_TEXT
    for number, example in enumerate(flow.definition.get("examples", ())):
        if turns >= MAX_TURNS_OF_ALL:
            checked.errors.append(f"/{number}: {TOO_MANY_TURNS}")
            break
        call = rehearse_example(flow, example, settings)
        turns += len(call.turns)
        if found := list(_differences(flow, example, call)):
            checked.errors.extend(f"/{number}: {difference}" for difference in found)
            if room > 0:
                checked.transcripts.append(_transcript(number, example, call)[:room])
                room -= len(checked.transcripts[-1])
    return checked


def rehearse_example(
    flow: type[DefinitionFlow], example: Example, settings: FlowSettings | None = None, url: str = URL
) -> Rehearsal:
    """The call of an example, to who speaks its ``language``, if it names one. What it expects is not looked at.

    URL is the webhook's.
    Raises StartError for a callee that does what none can.
    """
    contact, callout = example.get("contact", {}), example.get("callout")
    metadata = contact.get("metadata", {})
    if "language" in example:
        metadata = _with_value(metadata, flow.language_path, example["language"])
    return rehearse(
        flow,
        example["callee"],
        contact=ContactView(1, contact.get("msisdn", CONTACT_MSISDN), metadata),
        callout=None if callout is None else callout.get("metadata", {}),
        settings=settings,
        url=url,
    )


def _with_value(values: Any, path: tuple[str, ...], value: Any) -> Any:
    """VALUES, objects in one another, with VALUE at PATH; nothing is changed in place."""
    if not path:
        return value
    inside = values if isinstance(values, Mapping) else {}
    return {**inside, path[0]: _with_value(inside.get(path[0]), path[1:], value)}


def _differences(flow: type[DefinitionFlow], example: Example, call: Rehearsal) -> Iterator[str]:
    """How the call has gone otherwise than the example says."""
    if call.problem is not None:
        yield f"the call fails: {call.problem}"
    yield from _unheard(flow, example, call)
    for name, wanted in example.get("answers", {}).items():
        given = call.replies.answers.get(name)
        if not _fits(given, wanted):
            yield f"the answer {name} is {_json(given)}, not {_json(wanted)}"
    if "acknowledged" in example and example["acknowledged"] != call.replies.acknowledged:
        yield "the call is not acknowledged" if example["acknowledged"] else "the call is acknowledged"
    if "opted_out" in example and example["opted_out"] != call.replies.opted_out:
        yield "the person does not opt out" if example["opted_out"] else "the person opts out"


def _unheard(flow: type[DefinitionFlow], example: Example, call: Rehearsal) -> Iterator[str]:
    """What is not heard that should be; each is looked for after the one before it."""
    heard = [verb for turn in call.turns for verb in turn.verbs if verb.name in ("Say", "Play")]
    at = start = 0
    for wanted in example.get("hears", ()):
        found = _find(flow, heard, at, start, wanted)
        if found is None:
            after = " after what stands before it" if (at, start) != (0, 0) else ""
            yield f"{_json(wanted)} is not heard{after}"
        else:
            at, start = found


def _find(flow: type[DefinitionFlow], heard: list[Verb], at: int, start: int, wanted: str) -> tuple[int, int] | None:
    """Where WANTED ends: the number of a verb, and a position in its text. It is looked for from AT and START on."""
    words = " ".join(wanted.split())
    for number in range(at, len(heard)):
        verb, begin = heard[number], start if number == at else 0
        if verb.name == "Play":
            if begin == 0 and verb.text == _url(flow, wanted):
                return number, 1
        elif (position := verb.text.find(words, begin)) >= 0:
            return number, position + len(words)
    return None


def _url(flow: type[DefinitionFlow], played: str) -> str | None:
    path = played_url(played, flow.audio)
    return None if path is None else urljoin(URL, path)


def _fits(given: Any, wanted: Any) -> bool:
    """Whether an answer is as it is wanted: of an object, such as a recording, what is not named may be anything."""
    if isinstance(given, dict) and isinstance(wanted, dict):
        return all(_fits(value_at(given, (name,)), value) for name, value in wanted.items())
    # In Python, 1 is True.
    return isinstance(given, bool) is isinstance(wanted, bool) and bool(given == wanted)


def _transcript(number: int, example: Example, call: Rehearsal) -> str:
    """The call of an example, below what was expected of it."""
    wanted = {name: value for name, value in example.items() if name not in ("callee", "contact", "callout")}
    return "\n".join(
        [
            f"/{number}: expected {_json(wanted)}",
            *(f"  {line}" for line in call.document()["transcript"]),
            f"  {call.ending}",
        ]
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

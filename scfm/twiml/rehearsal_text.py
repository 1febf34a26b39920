"""The text of rehearsals: the answers of a script, read, and what is heard and answered, shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from scfm.errors import StartError
from scfm.twiml.definition import CalleeItem
from scfm.twiml.interpreter import CalleeAnswer, Verb, heard
from scfm.twiml.replies import Replies

RECORDING_URL = "https://scfm.example/recordings/RE1"
ANSWER_SYNTAX = "write: press 1, say WORDS, record SECONDS, silence, or hang up"

_DESCRIPTIONS: Mapping[str, Callable[[Verb], str]] = {
    "Say": lambda verb: f"says: {verb.text}",
    "Play": lambda verb: f"plays: {verb.text or verb['digits']}",
    "Pause": lambda verb: f"waits {verb.number('length')} s",
    "Gather": lambda _: "waits for an answer",
    "Record": lambda _: "records",
    "Redirect": lambda verb: f"goes on at {verb.text}",
    "Hangup": lambda _: "hangs up",
    "Reject": lambda _: "rejects the call",
}


def read_answer(item: CalleeItem) -> CalleeAnswer | None:
    """The answer that an item of a script describes, a line or as JSON; None is hanging up.

    Raises StartError for any other item.
    """
    if item is None:
        return CalleeAnswer()
    return _read_line(item) if isinstance(item, str) else _read_object(item)


def item_text(item: CalleeItem) -> str:
    """An item of a script as text."""
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)


def _read_object(item: Mapping[str, Any]) -> CalleeAnswer | None:
    if item == {"hang_up": True}:
        return None
    if item.keys() == {"say"} and isinstance(item["say"], str):
        return CalleeAnswer(speech=item["say"])
    if item.keys() == {"record"} and isinstance(item["record"], int | float):
        return CalleeAnswer(recording_url=RECORDING_URL, seconds=item["record"])
    raise StartError(f"{json.dumps(item, ensure_ascii=False)} is not an answer; {ANSWER_SYNTAX}")


def _read_line(line: str) -> CalleeAnswer | None:
    word, _, rest = " ".join(line.split()).partition(" ")
    if line.strip() in ("hang up", "hangup"):
        return None
    if word in ("", "silence") and not rest:
        return CalleeAnswer()
    if word == "say" and rest:
        return CalleeAnswer(speech=rest)
    if word == "record" and re.fullmatch("[0-9]*", rest):
        return CalleeAnswer(recording_url=RECORDING_URL, seconds=int(rest or 5))
    keys = rest if word == "press" else line.strip()
    if re.fullmatch("[0-9*#]+", keys):
        return CalleeAnswer(digits=keys)
    raise StartError(f"{line.strip()!r} is not an answer; {ANSWER_SYNTAX}")


def describe_verb(verb: Verb) -> list[str]:
    """What the phone does, in words, if it knows VERB; then, in brackets, each warning about it."""
    description = [_DESCRIPTIONS[verb.name](verb)] if verb.known else []
    return description + [f"({warning})" for warning in verb.warnings]


def describe_answer(verb: Verb, answer: CalleeAnswer | None) -> str:
    """What the callee does at VERB, in words; None is hanging up."""
    if answer is None:
        return "> hangs up"
    if answer.digits:
        digits = (heard(verb, answer) or {}).get("Digits", "")
        return f"> presses {answer.digits}" + ("" if digits == answer.digits else f", {digits or 'nothing'} is taken")
    if answer.speech:
        return f"> says: {answer.speech}"
    return f"> speaks for {answer.seconds:g} s" if answer.seconds else "> stays silent"


def describe_replies(replies: Replies) -> list[str]:
    """What the flow notes of the callee in a turn, in words."""
    lines = ["notes: acknowledged"] if replies.acknowledged else []
    lines += ["notes: opted out"] if replies.opted_out else []
    return lines + [
        f"notes: {name} = {json.dumps(value, ensure_ascii=False)}" for name, value in replies.answers.items()
    ]

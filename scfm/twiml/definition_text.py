"""The texts of a definition: what they name of the contact, the callout and the answers is put in at each turn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scfm.twiml.document import clean
from scfm.twiml.flow import Turn
from scfm.twiml.twiml_rules import MAX_SAY_BYTES

# The voices of providers know languages with their region, such as km-KH.
_VOICE_LANGUAGE = re.compile(r"[a-z]{2,3}-[A-Za-z0-9-]{2,12}\Z", re.ASCII)
# ``{{`` is a brace; ``{contact.metadata.district}`` is a placeholder.
_PLACEHOLDER = re.compile(r"(\{\{)|\{([^{}]*)\}")
MAX_UTF8_BYTES = 4
# Characters of a filled text: ten minutes of speech, which a document has room for, whatever they are.
MAX_FILLED_TEXT = 8192
CUT_OFF = f"a text is cut off: once filled in, it is longer than {MAX_FILLED_TEXT} characters"
# What a placeholder may begin with, and how many names may follow.
_MANY = 1 << 10
PLACEHOLDERS: Mapping[tuple[str, ...], int] = {
    ("contact", "msisdn"): 0,
    ("contact", "metadata"): _MANY,
    ("callout", "metadata"): _MANY,
    ("answers",): 1,
}


class TextTemplate:
    """A text, read once. ``placeholders`` are the names in it, in order (``contact.metadata.district``)."""

    __slots__ = ("_parts", "placeholders")

    def __init__(self, text: str) -> None:
        self._parts: list[str | tuple[str, ...]] = []
        end = 0
        for found in _PLACEHOLDER.finditer(text):
            brace, name = found.groups()
            self._parts += [text[end : found.start()], "{" if brace else tuple(name.split("."))]
            end = found.end()
        self._parts.append(text[end:])
        self.placeholders = [".".join(part) for part in self._parts if isinstance(part, tuple)]

    def filled(self, turn: Turn, answers: Mapping[str, Any]) -> str:
        """The text for the person of TURN, whose answers in this call so far are ANSWERS.

        What is missing, or is no text, number or boolean, is nothing. What goes beyond MAX_FILLED_TEXT is left out: a
        value of a megabyte may be named two hundred times.
        """
        filled, room = list[str](), MAX_FILLED_TEXT
        for part in self._parts:
            words = part if isinstance(part, str) else spoken(_value(part, turn, answers))
            filled.append(words[:room])
            room -= len(words)
            if room < 0:
                turn.warnings.append(CUT_OFF)
                break
        return "".join(filled)


def may_be_named(placeholder: str) -> bool:
    """Whether a text may have the placeholder."""
    path = tuple(placeholder.split("."))
    for start, more in PLACEHOLDERS.items():
        if path[: len(start)] == start:
            rest = path[len(start) :]
            return all(rest) and min(more, 1) <= len(rest) <= more
    return False


def spoken(value: Any) -> str:
    """A value as it is said: a text as it is, a number or boolean as in JSON; anything else is nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else ""


def said_parts(text: str, most: int = MAX_SAY_BYTES) -> list[str]:
    """TEXT in parts of at most so many bytes, which a provider says at once: cut between words, if it has spaces."""
    parts, text = [], clean(text)
    while len(text) * MAX_UTF8_BYTES > most and len(text.encode()) > most:
        head = text.encode()[:most].decode(errors="ignore")
        cut = head.rfind(" ") + 1 or len(head)
        parts.append(text[:cut])
        text = text[cut:]
    return [part for part in [*parts, text] if part.strip()]


def voice_language(language: str | None) -> str | None:
    """The language as a provider's voice is asked for it; None for one that says no region."""
    return language if language is not None and _VOICE_LANGUAGE.match(language) else None


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    """What is in VALUES, objects in one another, at PATH; None if nothing is."""
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _value(path: tuple[str, ...], turn: Turn, answers: Mapping[str, Any]) -> Any:
    if path == ("contact", "msisdn"):
        return turn.contact.msisdn
    if path[0] == "answers":
        return value_at(answers, path[1:])
    if path[:2] == ("contact", "metadata"):
        return value_at(turn.contact.metadata, path[2:])
    callout = turn.call.callout
    return value_at(callout.metadata, path[2:]) if callout and path[:2] == ("callout", "metadata") else None

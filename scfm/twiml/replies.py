"""What the person on the phone has replied, as a turn of a flow notes it: acknowledged, opted out, answers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

# Answers are shown with the participation and are columns of results: their names stand in paths (``answers.NAME``).
ANSWER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z", re.ASCII)
# How many one person's answers in a callout may be, and how large the JSON of one.
MAX_ANSWERS = 100
MAX_REPLY_BYTES = 1 << 13
MAX_ANSWER_LEVELS = 8


@dataclass
class Replies:
    """The replies of one turn. ``answers`` are JSON values by name; a turn that fails has none."""

    acknowledged: bool = False
    opted_out: bool = False
    answers: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.acknowledged or self.opted_out or bool(self.answers)

    def and_then(self, later: Replies) -> Replies:
        """These, and those of a LATER turn, of which the answers count."""
        return Replies(
            self.acknowledged or later.acknowledged,
            self.opted_out or later.opted_out,
            {**self.answers, **later.answers},
        )

    def document(self) -> dict[str, Any]:
        """As an event keeps them; empty without any."""
        return dict(vars(self)) if self else {}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Those that ``document`` gave."""
        return cls(**document)


def checked_answer(name: str, value: Any, known: Collection[str]) -> Any:
    """VALUE as a database gives it back. KNOWN are the names of the answers that there are.

    Raises TypeError for what is no plain JSON, and ValueError for a name that cannot be, or for too much.
    """
    if not isinstance(name, str) or not ANSWER_NAME.match(name):
        raise ValueError(f"the name of an answer has 1 to 64 letters, digits, - or _: not {name!r}")
    if name not in known and len(known) >= MAX_ANSWERS:
        raise ValueError(f"a person has at most {MAX_ANSWERS} answers in a callout")
    return plain_json(value, "an answer", MAX_REPLY_BYTES, MAX_ANSWER_LEVELS)


def plain_json(value: Any, what: str, max_bytes: int, max_levels: int) -> Any:
    """VALUE as a database gives it back.

    Raises TypeError if that would not be the same, ValueError if it is too large; both say WHAT it is.
    """
    try:
        # Strict: integers up to 53 bits, which every JSON reader keeps exactly.
        text = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"{what} must hold plain JSON values: {error}") from None
    kept = orjson.loads(text)
    if kept != value:
        raise TypeError(f"{what} must hold plain JSON values: strings, numbers, lists, objects")
    if len(text) > max_bytes or _depth(kept) > max_levels:
        raise ValueError(f"{what} has at most {max_bytes} bytes and {max_levels} levels")
    return kept


def _depth(value: Any) -> int:
    """How many objects and lists are inside one another."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)

"""Where a call is in its definition: it is kept in the call's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# The version is what a call stays on: the class that continues it is made of that one.
FLOW_VERSION, _STEP, _TIMES, _EVENT, _BEFORE, CALL_ANSWERS = "version", "step", "times", "event", "before", "answers"


class Place(NamedTuple):
    """The step whose document was given last, and how often. Without a step the call is over."""

    step: str | None
    times: int = 1


class CallState(NamedTuple):
    """The place that an event has brought the call to, and the one before it; None before the first step."""

    place: Place | None = None
    before: Place | None = None
    event: int = -1

    @classmethod
    def of(cls, memory: Mapping[str, Any]) -> CallState:
        """The state that ``remember`` left in a call's memory; the first one if there is none."""
        event = memory.get(_EVENT)
        if not isinstance(event, int):
            return cls()
        return cls(_place(memory), _place(memory.get(_BEFORE)), event)

    def remember(self, memory: dict[str, Any], version: int) -> None:
        """Put the state into a call's memory."""
        before = None if self.before is None else {_STEP: self.before.step, _TIMES: self.before.times}
        if self.place is not None:
            memory |= {FLOW_VERSION: version, _STEP: self.place.step, _TIMES: self.place.times}
            memory |= {_EVENT: self.event, _BEFORE: before}


def call_answers(memory: Mapping[str, Any]) -> dict[str, Any]:
    """The answers that a call's memory has, of a call without a callout."""
    answers = memory.get(CALL_ANSWERS)
    return answers if isinstance(answers, dict) else {}


def _place(stored: Any) -> Place | None:
    if not isinstance(stored, dict):
        return None
    step, times = stored.get(_STEP), stored.get(_TIMES)
    return Place(step, times) if isinstance(times, int) and isinstance(step, str | None) else None

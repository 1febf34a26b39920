"""State machines as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scfm.errors import Invalid

NOT_AN_EVENT = "is not included in the list"


@dataclass(frozen=True)
class StateMachine:
    """Where a resource's status begins, and where each event leads from each status."""

    initial: str
    events: Mapping[str, Mapping[str, str]]

    def target(self, event: object, status: str) -> str:
        """The status that EVENT leads to from STATUS; raises Invalid where it leads nowhere."""
        arrows = self.events.get(event, {}) if isinstance(event, str) else {}
        if status not in arrows:
            raise Invalid({"event": [NOT_AN_EVENT]})
        return arrows[status]

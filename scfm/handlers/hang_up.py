"""The parameter ``hang_up`` of events that keep calls from leaving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scfm.errors import Invalid
from scfm.models import hints
from scfm.models.call_work import HANG_UP_WISH, new_hang_up
from scfm.models.state_machine import NOT_AN_EVENT
from scfm.storage.query import Document

SPELLED = {"true": True, "false": False, "": False}


def hang_up_changes(parameters: Mapping[str, Any], taken: bool) -> Document:
    """By field, what ``hang_up`` changes of what the event is for: that its calls are to end; {} without it.

    TAKEN: whether the event takes it. Raises Invalid for a value that is neither true nor false, and where another
    event is to hang up.
    """
    given = parameters.get("hang_up")
    hang_up = SPELLED.get(given.strip().lower()) if isinstance(given, str) else given
    if hang_up is None and given is None:
        hang_up = False
    if not isinstance(hang_up, bool):
        raise Invalid({"hang_up": [NOT_AN_EVENT]}, {"hang_up": hints.choice_of(("true", "false"))})
    if hang_up and not taken:
        raise Invalid({"hang_up": ["is only taken by stop and hold"]})
    return {HANG_UP_WISH: new_hang_up()} if hang_up else {}

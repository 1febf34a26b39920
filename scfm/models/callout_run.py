"""How far a callout has carried out its plan: ``_run``, which is never shown.

A client's change sets it in the same update, and counts in the callout's ``_version``. So whoever carries the plan
out stores its progress only where ``_version`` is as it was read, and begins again where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from scfm.storage.index import Index
from scfm.storage.query import Document

Phase = Literal["audience", "participations", "calling"]


class CalloutRun(TypedDict, total=False):
    """``due``: from when on anyone may take it; absent where there is nothing to be done. ``holder``: who has it.

    ``phase``: the audience becomes participations, then each participation's outcome is worked out, then those who
    are due are called. ``cursor``: the id of the last contact or participation that the phase has done with.
    ``started_at``: when its audience was asked for; absent where it was stopped before it was ever started.
    """

    due: datetime
    holder: str
    phase: Phase
    cursor: int
    started_at: datetime


RUN, PHASE, CURSOR, RUN_DUE = "_run", "_run.phase", "_run.cursor", "_run.due"
DUE_INDEX = Index(RUN_DUE, name="run", only={RUN_DUE: {"$exists": True}})


def start_run(moment: datetime) -> Document:
    """By field, what the start of a plan changes in its callout."""
    return {RUN: CalloutRun(phase="audience", cursor=0, due=moment, started_at=moment)}


def review_run(callout: Mapping[str, Any], moment: datetime) -> Document:
    """By field, what changes in a CALLOUT with a plan all of whose participations are to be looked at again.

    An audience that is not complete is completed first, and its participations are looked at after that anyway.
    """
    if phase_of(callout) == "audience":
        return {RUN_DUE: moment}
    return {PHASE: "participations", CURSOR: 0, RUN_DUE: moment}


def phase_of(callout: Mapping[str, Any]) -> Phase | None:
    """The phase in which a callout is, None where it carries no plan out."""
    run: CalloutRun | None = callout.get(RUN)
    return None if run is None else run["phase"]


def has_started(callout: Mapping[str, Any]) -> bool:
    """Whether the audience of the callout's plan was ever asked for."""
    return "started_at" in (callout.get(RUN) or {})

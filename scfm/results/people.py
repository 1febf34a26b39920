"""How many people of a callout have each outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from scfm.models.outcome import OPEN_OUTCOMES, OUTCOMES, Outcome
from scfm.storage.block_tallies import Tallied, TallyKey
from scfm.storage.query import Document, Query

People = dict[str, int]
"""How many people have each outcome, in the order of ``OUTCOMES``, after their sum as ``total``."""

# The outcome of a participation; one that an older version has stored may lack it.
OUTCOME_OF: Document = {"$ifNull": ["$outcome", Outcome.PENDING.value]}


def people_query(callout_id: int) -> Query:
    """The participations of a callout."""
    return Query("callout_participations", ({"callout_id": callout_id},))


def people_by_outcome(outcomes: Mapping[str, int]) -> People:
    """The people of each outcome, with all of them first."""
    people = {outcome: outcomes.get(outcome, 0) for outcome in OUTCOMES}
    return {"total": sum(people.values()), **people}


def people_in(tallied: Tallied) -> People:
    """The people of a tally whose counts begin with ``people`` and the outcome: see CALLOUT_TALLY."""
    outcomes = Counter[str]()
    for (outcome, *_), count in counted(tallied.counts, "people"):
        outcomes[outcome] += count
    return people_by_outcome(outcomes)


def people_left(people: People) -> int:
    """How many are called, will be, or may be."""
    return sum(people[outcome] for outcome in OPEN_OUTCOMES)


def outcome_words(people: People) -> str:
    """``30 calling, 90 reached``: the outcomes that somebody has."""
    return ", ".join(f"{people[outcome]} {outcome}" for outcome in OUTCOMES if people[outcome])


def counted(counts: Counter[TallyKey], kind: str) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Of the counts whose key begins with KIND, the rest of the key, and the count."""
    for key, count in counts.items():
        if key[0] == kind:
            yield key[1:], count

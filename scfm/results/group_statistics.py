"""The people of a callout by a value of their contacts' metadata: ``group_by=metadata.district``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final, TypedDict

from scfm.contacts_bulk.text_lines import cell_text
from scfm.models.contact import CONTACTS
from scfm.models.paths import KeyPath
from scfm.models.texts import composed, trimmed
from scfm.results.people import OUTCOME_OF, People, people_by_outcome
from scfm.storage.block_tallies import Tallied, Tally, TallyKey
from scfm.storage.codec import escape_name, restore_document
from scfm.storage.query import Document

# Groups that are shown, the one of all others included.
MAX_GROUPS_SHOWN: Final = 200
OTHERS: Final = "(other)"
# Different values, each with the outcomes of its people; characters of one.
MAX_GROUP_KEYS: Final = 100_000
MAX_VALUE: Final = 200
TOO_MANY_GROUPS: Final = f"has too many values (about {MAX_GROUP_KEYS})"


class GroupStatistics(TypedDict):
    """One group: ``value`` is null for those without one."""

    value: str | None
    people: People


def group_tally(path: KeyPath) -> Tally:
    """The people of each outcome by the value that their contact has at PATH."""
    found: Any = {"$getField": {"field": "metadata", "input": {"$first": "$_contact"}}}
    for name in path:
        found = {"$getField": {"field": {"$literal": escape_name(name)}, "input": found}}
    return Tally(
        name=f"groups {'.'.join(map(repr, path))}",
        index={"callout_id": 1, "_id": 1},
        stages=(
            {
                "$lookup": {
                    "from": CONTACTS.collection,
                    "localField": "contact_id",
                    "foreignField": "_id",
                    "as": "_contact",
                }
            },
        ),
        by={"outcome": OUTCOME_OF, "value": found},
        values={"people": {"$sum": 1}},
        read=_read,
        joined=(CONTACTS.collection, "contact_id"),
        max_keys=MAX_GROUP_KEYS,
    )


def _read(group: Document) -> Iterator[tuple[TallyKey, int]]:
    yield (_text(restore_document(group).get("value")), group["outcome"]), group["people"]


def _text(value: Any) -> str | None:
    """A value as text, so that 5 and "5" are one group; None for nothing."""
    text = cell_text(value)
    return composed(trimmed(text), "NFC")[:MAX_VALUE] or None


def groups_of(tallied: Tallied) -> list[GroupStatistics]:
    """The groups that a ``group_tally`` has found, the most unreached first.

    Of more than MAX_GROUPS_SHOWN the smallest are one, which comes last.
    """
    outcomes: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    for (value, outcome), count in tallied.counts.items():
        outcomes[value][outcome] += count
    by_size = sorted(outcomes, key=lambda value: (-outcomes[value].total(), value or ""))
    kept = len(by_size) if len(by_size) <= MAX_GROUPS_SHOWN else MAX_GROUPS_SHOWN - 1
    groups: list[GroupStatistics] = [
        {"value": value, "people": people_by_outcome(outcomes[value])} for value in by_size[:kept]
    ]
    groups.sort(key=lambda group: -group["people"]["unreached"])
    if by_size[kept:]:
        others = sum((outcomes[value] for value in by_size[kept:]), Counter[str]())
        groups.append({"value": OTHERS, "people": people_by_outcome(others)})
    return groups

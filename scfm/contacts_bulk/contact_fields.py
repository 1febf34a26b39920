"""What the metadata of an account's contacts holds: the paths in it, and the values at one of them, counted.

They are counted inside MongoDB, and remembered by block (see ``storage.block_tallies``), so that only what has
changed is counted again. What would take too long, or has too many different values, is told of the first contacts
only.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypedDict

from scfm.contacts_bulk.metadata_path import written_path
from scfm.contacts_bulk.text_lines import cell_text
from scfm.models.merge import FLOW_MEMORY
from scfm.models.paths import KeyPath
from scfm.models.texts import composed, trimmed
from scfm.runtime.time_slice import TimeSlice
from scfm.storage.block_tallies import Tally, TallyKey, TooManyKeys
from scfm.storage.codec import escape_name, restore_document, restore_name
from scfm.storage.query import Document
from scfm.storage.tenant_list import TenantList

MAX_SHOWN: Final = 200
# Different values of one field, and different paths, that are counted over all contacts.
MAX_FIELD_VALUES: Final = 5000
MAX_FIELD_PATHS: Final = 2000
# Names of a path that is listed; values that lie deeper are found by those who know their path.
MAX_LISTED_DEPTH: Final = 4
# Characters of a value that is listed.
MAX_VALUE: Final = 200
# Seconds that a request waits for a count, which goes on for the next request; bytes of contacts that are read else.
COUNT_SECONDS: Final = 5.0
SAMPLE_BYTES: Final = 1 << 20
# Bytes of contacts that are read at first: where that is all, nothing more is needed. Where they hold so many
# different things, such as names, all would hold too many.
PROBE_BYTES: Final = 1 << 17
MAX_PROBED: Final = 500

# Keys of a tally, by their first part: a contact; a path that leads to a value, or a value; a contact without one;
# a contact whose value is not listed, as no filter finds it: a list, an object, a long text.
ANYBODY, FOUND, NONE, UNLISTED = "contact", "found", "none", "unlisted"
SCALARS: Final = ("string", "int", "long", "double", "bool")


class FieldCount(TypedDict):
    """A path in the metadata, and how many contacts have a value there."""

    path: str
    contacts: int


class ContactFields(TypedDict):
    """The paths that most contacts have; ``omitted`` is how many more there are.

    Where it is not ``complete``, it tells of the first ``contacts`` only.
    """

    contacts: int
    fields: list[FieldCount]
    omitted: int
    complete: bool


class ValueCount(TypedDict):
    """A value as text, null for none, and how many contacts have it."""

    value: str | None
    contacts: int


class Rest(TypedDict):
    """The values that are not listed, and the contacts that have them."""

    values: int
    contacts: int


class ContactValues(TypedDict):
    """The values that most contacts have at a path; as in ``ContactFields``."""

    path: str
    contacts: int
    values: list[ValueCount]
    rest: Rest
    complete: bool


async def contact_fields(contacts: TenantList) -> ContactFields:
    """The paths in the metadata of these contacts; raises Unavailable."""
    counts, complete = await _counted(contacts, PATHS_TALLY, _keys_of_paths)
    paths = _most_first({key[1]: count for key, count in counts.items() if key[0] == FOUND})
    return {
        "contacts": counts[(ANYBODY,)],
        "fields": [{"path": written_path(path), "contacts": count} for path, count in paths[:MAX_SHOWN]],
        "omitted": len(paths[MAX_SHOWN:]),
        "complete": complete,
    }


async def contact_values(contacts: TenantList, path: KeyPath) -> ContactValues:
    """The values that these contacts have at PATH; raises Unavailable."""
    counts, complete = await _counted(contacts, _values_tally(path), lambda metadata: [_key_at(metadata, path)])
    found: dict[str | None, int] = {key[1]: count for key, count in counts.items() if key[0] == FOUND}
    if counts[(NONE,)]:
        found[None] = counts[(NONE,)]
    values = _most_first(found)
    others = values[MAX_SHOWN:]
    return {
        "path": written_path(path),
        "contacts": sum(counts.values()),
        "values": [{"value": value, "contacts": count} for value, count in values[:MAX_SHOWN]],
        "rest": {"values": len(others), "contacts": counts[(UNLISTED,)] + sum(count for _, count in others)},
        "complete": complete,
    }


def _most_first(counts: dict[Any, int]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0] or ""))


async def _counted(
    contacts: TenantList, tally: Tally, keys_of: Callable[[Document], Iterable[TallyKey]]
) -> tuple[Counter[TallyKey], bool]:
    """The counts by key, and whether they are those of all contacts. KEYS_OF: what TALLY counts of one's metadata."""
    counts, complete = await _sampled(contacts, keys_of, PROBE_BYTES)
    if complete:
        return counts, True
    if contacts.is_counted and len(counts) <= MAX_PROBED:
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                return (await contacts.tallied(tally)).counts, True
        except (TooManyKeys, TimeoutError):
            pass
    return await _sampled(contacts, keys_of, SAMPLE_BYTES)


async def _sampled(
    contacts: TenantList, keys_of: Callable[[Document], Iterable[TallyKey]], max_bytes: int
) -> tuple[Counter[TallyKey], bool]:
    """The counts by key of the first contacts, with about so many bytes, and whether these are all."""
    counts: Counter[TallyKey] = Counter()
    time_slice, size = TimeSlice(), 0
    async for piece in contacts.pieces(["metadata"]):
        for contact in piece:
            counts.update(keys_of(restore_document(contact)["metadata"]))
            await time_slice.pause()
            size += len(cell_text(contact["metadata"]))
        if size >= max_bytes:
            return counts, False
    return counts, True


# The paths


def _shape(value: Any, depth: int) -> Document:
    """The expression for the names in an object: ``[[name], [name, shape of the object there], null, …]``."""
    kind = {"$type": "$$pair.v"}
    branches: list[Document] = [{"case": {"$in": [kind, list(SCALARS)]}, "then": ["$$pair.k"]}]
    if depth > 1:
        nested = ["$$pair.k", _shape("$$pair.v", depth - 1)]
        branches.append({"case": {"$eq": [kind, "object"]}, "then": nested})
    names = {"$switch": {"branches": branches, "default": None}}
    return {"$map": {"input": {"$objectToArray": value}, "as": "pair", "in": names}}


# What flows remember changes without an announcement, so it is not looked at.
_GIVEN: Final = {"$unsetField": {"field": FLOW_MEMORY, "input": "$metadata"}}


def _read_shape(group: Document) -> Iterator[tuple[TallyKey, int]]:
    count = group["contacts"]
    yield (ANYBODY,), count
    for path in _paths_in(group["shape"]):
        yield (FOUND, path), count


def _paths_in(shape: Any, outer: KeyPath = ()) -> Iterator[KeyPath]:
    for names in shape or ():
        if names is None:
            continue
        path = (*outer, restore_name(names[0]))
        if len(names) == 1:
            yield path
        else:
            yield from _paths_in(names[1], path)


def _keys_of_paths(metadata: Document) -> Iterator[TallyKey]:
    yield (ANYBODY,)
    for path in _scalar_paths({name: value for name, value in metadata.items() if name != FLOW_MEMORY}, ()):
        yield FOUND, path


def _scalar_paths(value: Document, outer: KeyPath) -> Iterator[KeyPath]:
    for name, inner in value.items():
        if isinstance(inner, dict) and len(outer) + 1 < MAX_LISTED_DEPTH:
            yield from _scalar_paths(inner, (*outer, name))
        elif inner is not None and not isinstance(inner, dict | list):
            yield (*outer, name)


PATHS_TALLY: Final = Tally(
    name="paths",
    index={"account_id": 1, "_id": 1},
    stages=(),
    by={"shape": _shape(_GIVEN, MAX_LISTED_DEPTH)},
    values={"contacts": {"$sum": 1}},
    read=_read_shape,
    max_keys=MAX_FIELD_PATHS,
)


# The values at a path


def _values_tally(path: KeyPath) -> Tally:
    found: Any = "$metadata"
    for name in path:
        found = {"$getField": {"field": {"$literal": escape_name(name)}, "input": found}}
    kind = {"$type": "$$found"}
    cut = {"$cond": [{"$eq": [kind, "string"]}, {"$substrCP": ["$$found", 0, MAX_VALUE + 1]}, "$$found"]}
    listed = {
        "$switch": {
            "branches": [
                {"case": {"$in": [kind, list(SCALARS)]}, "then": [cut]},
                {"case": {"$in": [kind, ["missing", "null", "undefined"]]}, "then": []},
            ],
            "default": None,
        }
    }
    return Tally(
        name=f"values {'.'.join(map(repr, path))}",
        index={"account_id": 1, "_id": 1},
        stages=(),
        by={"found": {"$let": {"vars": {"found": found}, "in": listed}}},
        values={"contacts": {"$sum": 1}},
        read=_read_value,
        max_keys=MAX_FIELD_VALUES,
    )


def _read_value(group: Document) -> Iterator[tuple[TallyKey, int]]:
    found = group["found"]
    yield (_key_of([]) if found is None else _key_of(found[0]) if found else (NONE,)), group["contacts"]


def _key_at(metadata: Document, path: KeyPath) -> TallyKey:
    found: Any = metadata
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return _key_of(found)


def _key_of(value: Any) -> TallyKey:
    """The key of a value, which is the text by which a filter finds it."""
    if value is None:
        return (NONE,)
    if isinstance(value, dict | list) or len(text := cell_text(value)) > MAX_VALUE:
        return (UNLISTED,)
    return FOUND, composed(text, "NFC") if trimmed(text) == text else text

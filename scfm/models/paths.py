"""Conditions on the values inside free JSON: the value at a path, compared as text.

No name in a path can be an operator or a path of its own: names are escaped as they are where they are stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from scfm.models.texts import composed, spellings
from scfm.storage.codec import MAX_INT64, MIN_INT64, escape_name
from scfm.storage.query import Document

# Of the conditions that one filter becomes, in about bytes: see ``_weight``. A thousand paths of two names are below
# it, and a resource has four such filters at most.
MAX_WEIGHT = 1 << 17
# What a step of a path with a position becomes, without its name.
STEP = 160
TOO_MANY = "has too many names, or names that are too long"

# A position in an array, as far as any array can reach.
_POSITION = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z", re.ASCII)

KeyPath = tuple[str, ...]
"""Names from the outermost value inwards, as a client gives them."""


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """The scalars inside VALUE, each with the path that leads to it; an element's name is its position."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, (*path, str(name)))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from leaves(inner, (*path, str(position)))
    else:
        yield path, value


def too_many(found: Iterable[tuple[KeyPath, Any]]) -> bool:
    """Whether these leaves are more than one filter may have."""
    return sum(_weight(path) for path, _ in found) > MAX_WEIGHT


def _weight(path: KeyPath) -> int:
    """About how many bytes the condition of a path has."""
    steps, names = len(path), sum(map(len, path))
    # A path without a position is named once to every array that may be on it.
    weight = steps * STEP + names if _has_position(path) else (steps + 1) * (16 + steps + names)
    return weight if all(map(str.isascii, path)) else 3 * weight


def at(field: str, path: KeyPath, value: str | None) -> Document:
    """The condition that the value at PATH inside FIELD reads VALUE as text, or is null or missing for None.

    The names may be stored in NFC or in NFD as well as given: all of a path in one form, as in one document.
    """
    wanted = None if value is None else [pair for text in spellings(value) for pair in _typed(text)]
    if all(map(str.isascii, path)):
        return _at(field, path, wanted)
    ways = dict.fromkeys(zip(*((name, composed(name, "NFC"), composed(name, "NFD")) for name in path), strict=True))
    conditions = [_at(field, way, wanted) for way in ways]
    return {"$and" if wanted is None else "$or": conditions}


def _at(field: str, path: KeyPath, wanted: list[tuple[Any, list[str]]] | None) -> Document:
    stored = (field, *map(escape_name, path))
    return _at_position(stored, wanted) if _has_position(path) else _at_names(stored, wanted)


def _has_position(path: KeyPath) -> bool:
    # The outermost value is always an object, so a number that comes first is a plain name.
    return any(_POSITION.fullmatch(name) for name in path[1:])


def _typed(written: str) -> list[tuple[Any, list[str]]]:
    """The values that read so as text, each with its BSON types."""
    values: list[tuple[Any, list[str]]] = [(written, ["string"])]
    if written in ("true", "false"):
        values.append((written == "true", ["bool"]))
    elif re.fullmatch(r"-?[0-9]{1,19}\Z", written, re.ASCII) and str(int(written)) == written:
        if MIN_INT64 <= int(written) <= MAX_INT64:
            values.append((int(written), ["int", "long"]))
    elif (number := _float(written)) is not None:
        values.append((number, ["double"]))
    return values


def _float(written: str) -> float | None:
    try:
        number = float(written)
    except ValueError:
        return None
    # 1e-07 is what Python writes, 1e-7 what a client is shown.
    return number if written in (str(number), orjson.dumps(number).decode()) else None


def _at_names(path: tuple[str, ...], wanted: list[tuple[Any, list[str]]] | None) -> Document:
    """A MongoDB path looks into the elements of every array on its way; ours has no number that would let it."""
    dotted = ".".join(path)
    arrays: list[Document] = [
        {".".join(path[:depth]): {"$type": "array"}} for depth in range(2, len(path) + (wanted is not None))
    ]
    if wanted is None:
        return {"$or": [{dotted: None, "$nor": [{dotted: {"$type": "array"}}]}, *arrays]}
    equal = [{dotted: {"$eq": value, "$type": types}} for value, types in wanted]
    return {"$or": equal, "$nor": arrays} if arrays else {"$or": equal}


def _at_position(path: tuple[str, ...], wanted: list[tuple[Any, list[str]]] | None) -> Document:
    """A number in a MongoDB path is both a position and a name inside the elements, so the steps are spelled out."""
    found: Any = f"${path[0]}"
    for name in path[1:]:
        found = {"$let": {"vars": {"outer": found}, "in": _step(name)}}
    bson_type = {"$type": "$$found"}
    if wanted is None:
        same: Document = {"$in": [bson_type, ["missing", "null"]]}
    else:
        same = {
            "$or": [
                {"$and": [{"$in": [bson_type, types]}, {"$eq": ["$$found", {"$literal": value}]}]}
                for value, types in wanted
            ]
        }
    return {"$expr": {"$let": {"vars": {"found": found}, "in": same}}}


def _step(name: str) -> Document:
    """From ``$$outer`` to what it has under NAME; missing where it is neither an object nor an array."""
    member = {"$getField": {"field": {"$literal": name}, "input": "$$outer"}}
    if not _POSITION.fullmatch(name):
        return member
    return {"$cond": [{"$isArray": "$$outer"}, {"$arrayElemAt": ["$$outer", int(name)]}, member]}

"""JSON Schemas as programs read them that make clients of the document, and as people read them there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# What the server answers to what does not fit: it is this project's own keyword, and for nobody else.
_OWN_KEYWORD = "errorMessage"
# In this order: a bool is an int.
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def portable(schema: Any, itself: str = "") -> Any:
    """A schema, or a part of one, as most programs understand it.

    It has nothing of this project alone, an ``enum`` of several types is an ``anyOf``, and a ``const`` that is true
    or false an ``enum``. Where it refers to
    ITSELF, the reference of the whole schema, for what is in it, that may be anything.
    """
    if isinstance(schema, list):
        return [portable(one, itself) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: {} if key in ("items", "additionalProperties") and one == {"$ref": itself} else portable(one, itself)
        for key, one in schema.items()
        if key != _OWN_KEYWORD
    }
    if isinstance(found.get("const"), bool):
        found |= {"type": "boolean", "enum": [found.pop("const")]}
    choices = found.get("enum")
    if isinstance(choices, list) and len(of_type := _by_type(choices)) > 1:
        del found["enum"]
        found["anyOf"] = [
            {"type": kind}
            if kind == "null" or (kind == "boolean" and len(some) == 2)
            else {"type": kind, "enum": some}
            for kind, some in of_type.items()
        ]
    return found


def _by_type(choices: Iterable[Any]) -> dict[str, list[Any]]:
    """The CHOICES by their types, as JSON Schema calls these."""
    of_type: dict[str, list[Any]] = {}
    for choice in choices:
        kind = next(name for of, name in _TYPES.items() if isinstance(choice, of))
        of_type.setdefault(kind, []).append(choice)
    return of_type

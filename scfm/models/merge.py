"""How new metadata joins what is stored (``metadata_merge_mode``)."""

from __future__ import annotations

from typing import Any

MODES = ("merge", "replace", "deep_merge")
# Where the metadata of contacts and phone calls holds what call flows remember, by the flow's name. Clients read it
# and cannot set it: a file that was exported before a call would otherwise undo what the call has left.
FLOW_MEMORY = "call_flow_data"
MEMORY_PATH = f"metadata.{FLOW_MEMORY}"


def merge(old: dict[str, Any], new: dict[str, Any], mode: object = "merge") -> dict[str, Any]:
    """A new dict; neither argument is changed. A null is a value like any other and is kept.

    ``replace``: the new alone. ``deep_merge``: key by key, at all levels where both sides are objects.
    Anything else means ``merge``: key by key at the top level, where the new value wins.
    """
    if mode == "replace":
        return dict(new)
    if mode == "deep_merge":
        return _deep(old, new)
    return {**old, **new}


def without_memory(metadata: dict[str, Any]) -> dict[str, Any]:
    """The part of METADATA that clients may set. It may be METADATA itself."""
    if FLOW_MEMORY not in metadata:
        return metadata
    return {name: value for name, value in metadata.items() if name != FLOW_MEMORY}


def with_memory(given: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """GIVEN, which has no flow memory, with that of STORED, in the same place. It may be GIVEN itself."""
    if FLOW_MEMORY not in stored:
        return given
    items = list(given.items())
    items.insert(list(stored).index(FLOW_MEMORY), (FLOW_MEMORY, stored[FLOW_MEMORY]))
    return dict(items)


def _deep(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    joined = dict(old)
    for key, value in new.items():
        known = old.get(key)
        joined[key] = _deep(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return joined

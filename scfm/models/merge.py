"""How new metadata joins what is stored (``metadata_merge_mode``)."""

from __future__ import annotations

from typing import Any

MODES = ("merge", "replace", "deep_merge")


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


def _deep(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {**old, **{key: _join(old.get(key), value) for key, value in new.items()}}


def _join(old: object, new: object) -> object:
    return _deep(old, new) if isinstance(old, dict) and isinstance(new, dict) else new

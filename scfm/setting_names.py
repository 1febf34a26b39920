"""Which setting a mistyped name was meant to be."""

from __future__ import annotations

from collections.abc import Collection
from difflib import SequenceMatcher, get_close_matches

# How similar two names must be (difflib's ratio, 0 to 1) for one to be taken for the other, mistyped.
MIN_SIMILARITY, MIN_SIMILARITY_OF_SHORT = 0.8, 0.85


def nearest(name: str, known: Collection[str]) -> str | None:
    """The one of KNOWN that NAME is a mistyped form of, or None."""
    for setting in get_close_matches(name.upper(), known, n=1, cutoff=MIN_SIMILARITY):
        # One letter more makes a mistyped PORT, two make another program's variable.
        if (
            len(setting) > len("PORT")
            or SequenceMatcher(None, name.upper(), setting).ratio() > MIN_SIMILARITY_OF_SHORT
        ):
            return setting
    return None


def nearest_field(name: str, known: Collection[str]) -> str | None:
    """The same for the name of a setting in a file."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=MIN_SIMILARITY)), None)


def did_you_mean(name: str | None) -> str:
    """The end of an error that proposes NAME, or an empty text."""
    return f"; did you mean {name}?" if name else ""

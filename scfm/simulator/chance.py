"""Chance that repeats: the same seed and the same subject always draw the same lot."""

from __future__ import annotations

from hashlib import blake2b


def lot(*subject: object) -> int:
    """A 64-bit number, evenly spread, that depends on ``subject`` alone."""
    text = "\0".join(map(str, subject)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def fraction(*subject: object) -> float:
    """The same as a float from 0 up to, not including, 1."""
    return (lot(*subject) >> 11) / (1 << 53)

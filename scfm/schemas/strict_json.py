"""Hooks for ``json.loads``, which takes more than JSON (RFC 8259) has: what it has not is a ValueError."""

from __future__ import annotations

import math
from typing import NoReturn


def finite(digits: str) -> float:
    """For ``parse_float``: a number that a double can hold."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number


def no_constant(name: str) -> NoReturn:
    """For ``parse_constant``: NaN and the infinities."""
    raise ValueError(name)

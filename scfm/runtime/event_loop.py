"""The event loop that servers and the simulator run on: uvloop's, where there is one: it is faster."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import uvloop as loops
except ImportError:  # uvloop supports neither Windows nor other implementations of Python
    import asyncio as loops  # type: ignore[no-redef]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run MAIN to its end in a new event loop; what it returns or raises."""
    return loops.run(main)

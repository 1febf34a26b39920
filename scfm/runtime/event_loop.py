"""The event loop that servers and the simulator run on: uvloop's, where there is one.

It does what asyncio's own does in less time.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import uvloop as loops
except ImportError:  # there is none for Windows, nor for other Pythons
    import asyncio as loops  # type: ignore[no-redef]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run MAIN to its end; what it gives."""
    return loops.run(main)

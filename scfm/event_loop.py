"""The event loop that servers and the simulator run on: uvloop's, where there is one.

It does what asyncio's own does in less time.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

try:
    import uvloop as loops
except ImportError:  # there is none for Windows, nor for other Pythons
    import asyncio as loops  # type: ignore[no-redef]

# What every system grants a process that may have more, and more connections than one process can serve.
OPEN_FILES = 10_240


T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run MAIN to its end; what it gives."""
    return loops.run(main)


def raise_open_files() -> None:
    """Ask for more open files: each connection is one. Child processes inherit it.

    Shells and service managers give a process a thousand, for the sake of programs that use select(2), and let it ask
    for more (getrlimit(2)). A provider that opens more than that in the middle of a callout would not be heard.
    """
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_files() -> int:
    """How many files this process may have open, no more than it asks for."""
    if resource is None:
        return OPEN_FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if soft == resource.RLIM_INFINITY else min(soft, OPEN_FILES)

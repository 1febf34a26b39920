"""The event loop that servers and the simulator run on: uvloop's, where there is one.

It does what asyncio's own does in less time.
"""

from __future__ import annotations

import resource
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

try:
    import uvloop as loops
except ImportError:  # there is none for Windows, nor for other Pythons
    import asyncio as loops  # type: ignore[no-redef]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run MAIN to its end, with as many open files as this process may have: each connection is one.

    Shells and service managers give a process a thousand, for the sake of programs that use select(2), and let it ask
    for more (getrlimit(2)). A provider whose webhooks are more than that would not be heard.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where the system itself has a lower limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loops.run(main)

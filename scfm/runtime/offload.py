"""Computations that may be long and cannot be cut into slices, in a thread: the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Bytes of input that are computed on at once, which is quicker than to hand them over.
MAX_INLINE = 4096
# One thread, so that the loop never waits for the interpreter's lock behind more than one.
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="offload")


async def offload(size: int, work: Callable[[], T]) -> T:
    """What WORK returns or raises; in the thread if its input has more than MAX_INLINE bytes (SIZE).

    WORK must touch nothing that others change. No single step of it in C (a regular expression, a normalisation) may
    take over 50 ms, as it keeps the interpreter's lock.
    """
    if size <= MAX_INLINE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)

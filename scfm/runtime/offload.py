"""Runs long computations that cannot be cut into slices in a thread, so that the event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# For so many bytes of input to compute at once is quicker than to use the thread.
MAX_INLINE = 4096
# One thread for each, so that the event loop never waits for the GIL behind more than two.
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="offload")
_LONG_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="offload-long")


async def offload(size: int, work: Callable[[], T]) -> T:
    """What WORK returns or raises; in the thread if its input has more than MAX_INLINE bytes (SIZE).

    WORK must use nothing that other code changes. No single call into C (a regular expression, a normalisation) may
    take over 50 ms, as it holds the GIL.
    """
    if size <= MAX_INLINE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)


async def offload_long(work: Callable[[], T]) -> T:
    """As ``offload``, for what may take seconds: in a thread of its own, where nothing short waits for it."""
    return await asyncio.get_running_loop().run_in_executor(_LONG_THREAD, work)

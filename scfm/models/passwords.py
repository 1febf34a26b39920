"""Slow salted hashes of passwords: made off the event loop, one at a time, the accounts in turn."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher

from scfm.errors import Overloaded
from scfm.runtime.log_limit import LogLimit

log = logging.getLogger("scfm")

# What OWASP's Password Storage Cheat Sheet recommends. A hash names its own parameters: older ones stay valid.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 << 10, parallelism=1)
# Whoever would have to wait longer for a hash is refused at once: clients and proxies wait for half a minute or more.
MAX_HASH_WAIT_SECONDS = 10.0
# How long a hash is taken to need, until the first has been made; later a moving average, a time constant of eight.
FIRST_GUESS_SECONDS = 0.05


class PasswordHashing:
    """Makes hashes. One at a time, so that a flood of them takes one processor at most, and 19 MiB.

    Each account has its own queue, and the queues take turns: an account that creates two hundred users does not keep
    another's one waiting.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="password")
        self._busy = False
        # By account, the next in turn first; none is empty.
        self._queues: dict[int | None, deque[asyncio.Future[None]]] = {}
        self._seconds = FIRST_GUESS_SECONDS
        self._warning = LogLimit()

    async def hash(self, account_id: int | None, password: str) -> str:
        """The hash of an account's PASSWORD; raises Overloaded if it would take too long until it is made."""
        await self._turn(account_id)
        try:
            began = time.monotonic()
            loop = asyncio.get_running_loop()
            password_hash = await loop.run_in_executor(self._thread, HASHER.hash, password)
            self._seconds += (time.monotonic() - began - self._seconds) / 8
            return password_hash
        finally:
            self._next()

    async def _turn(self, account_id: int | None) -> None:
        """Return when it is this account's turn, which ends with ``_next``."""
        if not self._busy:
            self._busy = True
            return
        self._refuse_long_wait(account_id)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(account_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._next()
            raise

    def _refuse_long_wait(self, account_id: int | None) -> None:
        own = len(self._queues.get(account_id, ()))
        others = sum(min(len(queue), own + 1) for name, queue in self._queues.items() if name != account_id)
        if (1 + own + others) * self._seconds <= MAX_HASH_WAIT_SECONDS:
            return
        if self._warning.allows():
            log.warning("account %s sets passwords faster than they can be hashed: refused with 503", account_id)
        raise Overloaded("too many passwords are being set at once; try again")

    def _next(self) -> None:
        while self._queues:
            account_id, queue = next(iter(self._queues.items()))
            del self._queues[account_id]
            turn = queue.popleft()
            if queue:
                self._queues[account_id] = queue  # behind the others
            if not turn.done():  # whoever waited has not gone
                turn.set_result(None)
                return
        self._busy = False


PASSWORDS = PasswordHashing()

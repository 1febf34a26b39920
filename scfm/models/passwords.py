"""Slow salted hashes of passwords: made and compared off the event loop, one at a time, those who ask in turn."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from scfm.errors import Overloaded
from scfm.runtime.log_limit import LogLimit

log = logging.getLogger("scfm")

# What OWASP's Password Storage Cheat Sheet recommends. A hash names its own parameters: older ones stay valid.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 << 10, parallelism=1)
# A request that would wait longer for a hash is refused at once: clients and proxies wait for half a minute or more.
MAX_HASH_WAIT_SECONDS = 10.0
# How long a hash is taken to need, until the first has been made; later a moving average, a time constant of eight.
FIRST_GUESS_SECONDS = 0.05
# Of the thread that makes hashes, as nice(1) has it.
NICENESS = 10
# Compared with where there is no user, for as long: its parameters are those of HASHER. Nobody knows its text.
HASH_OF_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$nrL9wshCGLYjG8Lo35gOGQ$pYqv8VfeRpsOCCX7tlVs/JKSSCYeadjiLHf1E6iV60Q"

Asker = int | str
"""Whose queue it is: the id of the account that sets a password, or the address from which somebody signs in."""
T = TypeVar("T")


class Comparison(NamedTuple):
    """Whether the password is the one that was hashed; if so, a new hash where the old one has other parameters."""

    is_right: bool
    new_hash: str | None = None


class PasswordHashing:
    """Makes hashes. One at a time, so that a flood of them takes one processor at most, and 19 MiB.

    Each account that sets passwords, and each address from which people sign in, has its own queue, and the queues
    take turns: an account that creates two hundred users does not keep another's one waiting.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="password", initializer=_yield_processor)
        self._busy = False
        # By asker, the next in turn first; none is empty.
        self._queues: dict[Asker, deque[asyncio.Future[None]]] = {}
        self._seconds = FIRST_GUESS_SECONDS
        self._warning = LogLimit()

    async def hash(self, account_id: int, password: str) -> str:
        """The hash of an account's PASSWORD; raises Overloaded if it would take too long until it is made."""
        async with self.turn(account_id):
            return await self._in_thread(lambda: HASHER.hash(password))

    async def compare(self, password_hash: str | None, password: str) -> Comparison:
        """Compare PASSWORD with a stored hash, or with None, where there is none; within a ``turn``."""
        return await self._in_thread(lambda: _compare(password_hash, password))

    def check_wait(self, asker: Asker) -> None:
        """Raise Overloaded if it would take too long until it is this asker's turn; no turn is taken."""
        if self._busy:
            self._refuse_long_wait(asker)

    @asynccontextmanager
    async def turn(self, asker: Asker) -> AsyncGenerator[None]:
        """Within it nobody else makes or compares a hash. Raises Overloaded if it would take too long to begin."""
        await self._wait(asker)
        try:
            began = time.monotonic()
            yield
            self._seconds += (time.monotonic() - began - self._seconds) / 8
        finally:
            self._next()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _wait(self, asker: Asker) -> None:
        """Return when it is this asker's turn, which ends with ``_next``."""
        if not self._busy:
            self._busy = True
            return
        self._refuse_long_wait(asker)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(asker, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._next()
            raise

    def _refuse_long_wait(self, asker: Asker) -> None:
        own = len(self._queues.get(asker, ()))
        others = sum(min(len(queue), own + 1) for name, queue in self._queues.items() if name != asker)
        if (1 + own + others) * self._seconds <= MAX_HASH_WAIT_SECONDS:
            return
        if self._warning.allows():
            whose = f"account {asker} sets passwords" if isinstance(asker, int) else f"people sign in from {asker}"
            log.warning("%s faster than they can be hashed: refused with 503", whose)
        raise Overloaded("too many passwords are being set or compared at once; try again")

    def _next(self) -> None:
        while self._queues:
            asker, queue = next(iter(self._queues.items()))
            del self._queues[asker]
            turn = queue.popleft()
            if queue:
                self._queues[asker] = queue  # behind the others
            if not turn.done():  # the request that waited has not gone
                turn.set_result(None)
                return
        self._busy = False


def _yield_processor() -> None:
    """Let this thread run behind those that answer requests: a flood of passwords keeps a processor busy."""
    if sys.platform == "linux":  # which has a priority for each thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _compare(password_hash: str | None, password: str) -> Comparison:
    try:
        HASHER.verify(password_hash or HASH_OF_NOBODY, password)
    except (VerificationError, InvalidHashError):
        return Comparison(is_right=False)
    if password_hash is None or not HASHER.check_needs_rehash(password_hash):
        return Comparison(is_right=password_hash is not None)
    return Comparison(is_right=True, new_hash=HASHER.hash(password))


PASSWORDS = PasswordHashing()

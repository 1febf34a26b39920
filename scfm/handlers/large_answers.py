"""Answers that are too large for memory: put together in a file, and sent from there as the client takes them."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tornado.iostream import StreamClosedError

from scfm.errors import BadRequest, Overloaded
from scfm.runtime.time_slice import TimeSlice
from scfm.runtime.timed_lock import TimedLock

# All such files together.
MAX_FILE_BYTES = 1 << 30
# What is written and read at once.
PART_BYTES = 1 << 18
MAX_ANSWER_WAIT_SECONDS = 30.0
# So long an answer may be sent though there is no room for others.
MIN_SEND_SECONDS = 10.0


@dataclass(eq=False)
class LargeAnswer:
    """An answer in a file that has no name, so that it goes when it is closed, or with the process.

    ``cut_off`` ends its connection at once.
    """

    cut_off: Callable[[], None]
    file: IO[bytes] = field(init=False)
    size: int = 0
    digest: str = ""
    ready_at: float = field(default=0.0, init=False)

    async def parts(self) -> AsyncIterator[bytes]:
        """Its bytes, some at a time."""
        await asyncio.to_thread(self.file.seek, 0)
        while part := await asyncio.to_thread(self.file.read, PART_BYTES):
            yield part


def _late() -> Overloaded:
    return Overloaded("other large answers are put together; try again, or ask for fewer per_page")


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except StreamClosedError:  # an OSError too, but of the client's
        raise
    except OSError as error:
        raise Overloaded(f"a large answer cannot be put into a file: {error.strerror}") from error


class LargeAnswers:
    """Puts together one large answer after the other, in the order in which they are asked for.

    What is held in memory is a part of one, and on the disk MAX_FILE_BYTES of all that are being sent. Where that is
    too little, those that have been sent for longest are cut off: a client that takes a kilobyte a second would keep
    the room of its answer for days.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()
        self._held = 0
        # Those that are being sent, the longest first.
        self._sent: dict[LargeAnswer, None] = {}
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def collected(
        self, parts: AsyncGenerator[bytes, None], cut_off: Callable[[], None]
    ) -> AsyncIterator[LargeAnswer]:
        """The answer that PARTS make, within the context. Where it has to make room for others, CUT_OFF is called.

        Raises Overloaded when others take too long or the disk is full, BadRequest where it is larger than may be.
        """
        with _disk(), ExitStack() as files:
            answer = LargeAnswer(cut_off)
            try:
                async with aclosing(parts), TimedLock(self._turn, MAX_ANSWER_WAIT_SECONDS, _late):
                    answer.file = files.enter_context(tempfile.TemporaryFile(dir=self._folder))
                    await self._put_together(answer, parts)
                answer.ready_at = time.monotonic()
                self._sent[answer] = None
                yield answer
            finally:
                self._sent.pop(answer, None)
                self._held -= answer.size
                self._freed.set()

    async def _put_together(self, answer: LargeAnswer, parts: AsyncIterator[bytes]) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        time_slice = TimeSlice()
        held = bytearray()
        async for part in parts:
            digest.update(part)
            held += part
            if len(held) >= PART_BYTES:
                await self._append(answer, bytes(held))
                held.clear()
            await time_slice.pause()
        await self._append(answer, bytes(held))
        answer.digest = digest.hexdigest()

    async def _append(self, answer: LargeAnswer, part: bytes) -> None:
        await self._make_room(len(part), answer.size)
        answer.size += len(part)
        self._held += len(part)
        await asyncio.to_thread(answer.file.write, part)

    async def _make_room(self, size: int, own: int) -> None:
        """Return when there is room for SIZE more bytes of an answer that has OWN."""
        if own + size > MAX_FILE_BYTES:
            raise BadRequest(f"the answer is larger than {MAX_FILE_BYTES >> 20} MiB: ask for fewer with per_page")
        while self._held + size > MAX_FILE_BYTES:
            self._freed.clear()
            longest = next(iter(self._sent), None)
            wait = None if longest is None else longest.ready_at + MIN_SEND_SECONDS - time.monotonic()
            if longest is not None and wait is not None and wait <= 0:
                self._cut_off(longest)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._freed.wait()

    def _cut_off(self, answer: LargeAnswer) -> None:
        """End an answer that is being sent, and free what it has on the disk."""
        del self._sent[answer]
        answer.file.truncate(0)
        self._held -= answer.size
        answer.size = 0
        answer.cut_off()

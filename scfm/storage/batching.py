"""Group commit: what is asked of the database while a round trip is under way goes together in the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from scfm.errors import Unavailable
from scfm.runtime import log_context
from scfm.runtime.metrics import ASKED_TOGETHER

Request = TypeVar("Request")
T = TypeVar("T")

MAX_BATCH = 200


async def isolate_failures(
    together: Callable[[list[Request]], Awaitable[Sequence[T]]],
    requests: list[Request],
    again: Callable[[Request], Awaitable[T]] | None = None,
) -> Sequence[T | Exception]:
    """What TOGETHER answers to each of the requests; one that cannot be done does not take the others with it.

    Where it raises, each request is done alone, by AGAIN, if given: some of them may have been carried out already.
    Raises Unavailable.
    """
    try:
        return await together(requests)
    except Unavailable:
        raise
    except Exception as error:
        if len(requests) == 1:
            return [error]
    answers: list[T | Exception] = []
    for request in requests:
        try:
            answers.append(await again(request) if again is not None else (await together([request]))[0])
        except Unavailable:
            raise
        except Exception as error:
            answers.append(error)
    return answers


class Batcher(Generic[Request, T]):
    """Carries out many small requests in few round trips, one after the other.

    CARRY_OUT gets up to MAX_BATCH requests and gives the answer to each, in their order; an exception in place of
    an answer is raised to the caller of that request, and what CARRY_OUT raises to all. A round trip begins after
    each of its requests, so nobody is told of a state from before the request.

    While round trips follow one another, each waits up to GATHER_SECONDS after the one before, unless MANY wait.
    """

    def __init__(
        self,
        carry_out: Callable[[list[Request]], Awaitable[Sequence[T | Exception]]],
        *,
        max_batch: int | None = None,
        gather_seconds: float = 0.0,
        many: int = 1,
    ) -> None:
        self._carry_out = carry_out
        self._max_batch = max_batch
        self._gather_seconds = gather_seconds
        self._many = many
        self._next_at = 0.0
        self._waiting: list[tuple[Request, asyncio.Future[T]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, request: Request) -> T:
        """The answer to the request."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), context=log_context.nobody())
        return await answer

    def close(self) -> None:
        """Carry out nothing more; callers that wait are cancelled."""
        if self._task is not None:
            self._task.cancel()
        # A task that has not begun yet does not learn that it is cancelled, and cannot tell them.
        waiting, self._waiting = self._waiting, []
        for _, answer in waiting:
            answer.cancel()

    async def _run(self) -> None:
        while self._waiting:
            if self._gather_seconds:
                early = self._next_at - time.monotonic()
                if early > 0 and len(self._waiting) < self._many:
                    await asyncio.sleep(early)
                self._next_at = time.monotonic() + self._gather_seconds
            size = self._max_batch or MAX_BATCH
            group, self._waiting = self._waiting[:size], self._waiting[size:]
            ASKED_TOGETHER.observe(len(group))
            try:
                answers = await self._carry_out([request for request, _ in group])
            except Exception as error:
                answers = [error] * len(group)
            except GeneratorExit:  # the event loop is closed, and nobody waits any more
                raise
            except BaseException as error:  # the process ends, and nobody waits for ever
                for _, waiting in (*group, *self._waiting):
                    if not waiting.done():
                        waiting.set_exception(error)
                self._waiting = []
                raise
            for (_, waiting), answer in zip(group, answers, strict=True):
                if waiting.done():  # its caller has gone
                    continue
                if isinstance(answer, Exception):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)

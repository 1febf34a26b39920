"""Group commit: what is asked of the database while a round trip is under way goes together in the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from scfm.errors import Unavailable

Asked = TypeVar("Asked")
Found = TypeVar("Found")

MAX_BATCH = 200


async def isolate_failures(
    together: Callable[[list[Asked]], Awaitable[Sequence[Found]]], asked: list[Asked]
) -> Sequence[Found | Exception]:
    """What TOGETHER gives for each of the requests; one that cannot be done does not take the others with it.

    Those that are asked again may have been carried out. Raises Unavailable.
    """
    try:
        return await together(asked)
    except Unavailable:
        raise
    except Exception as error:
        if len(asked) == 1:
            return [error]
        return [(await isolate_failures(together, [one]))[0] for one in asked]


class Batcher(Generic[Asked, Found]):
    """Carries out many small requests in few round trips, one after the other.

    CARRY_OUT gets up to MAX_BATCH requests and gives what each found, in their order; an exception in place of what
    one found is raised to whoever asked for it, and what CARRY_OUT raises to all of them. A round trip begins after
    each of its requests, so nobody is told of a state from before he asked.
    """

    def __init__(self, carry_out: Callable[[list[Asked]], Awaitable[Sequence[Found | Exception]]]) -> None:
        self._carry_out = carry_out
        self._waiting: list[tuple[Asked, asyncio.Future[Found]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, asked: Asked) -> Found:
        """What the request found."""
        found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, found))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await found

    def close(self) -> None:
        """Carry out nothing more; whoever waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
        # A task that has not begun yet does not learn that it is cancelled, and cannot tell them.
        waiting, self._waiting = self._waiting, []
        for _, found in waiting:
            found.cancel()

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                answers = await self._carry_out([asked for asked, _ in group])
            except Exception as error:
                answers = [error] * len(group)
            except BaseException as error:  # the process ends, and nobody waits for ever
                for _, found in (*group, *self._waiting):
                    if not found.done():
                        found.set_exception(error)
                self._waiting = []
                raise
            for (_, found), answer in zip(group, answers, strict=True):
                if found.done():  # whoever asked has gone
                    continue
                if isinstance(answer, Exception):
                    found.set_exception(answer)
                else:
                    found.set_result(answer)

"""Sends requests over kept connections, and times the answers: ``python -m benchmarks.generator``.

A process of its own, on raw sockets, so that it costs a fraction of what it measures. It reads streams from the first
line of its standard input, as JSON, and ends with that input. A stream is
``{"name", "port", "clients", "requests": [text, …], "rate"}``. Without a rate each client sends its next request
when it has its answer, until there are no more. With one, requests are due at a steady pace, over and over, whether
or not the earlier ones have been answered, and a late one counts from when it was due; that goes on to the end.
Gives, by name, ``{"latencies": [seconds, …], "seconds", "statuses": {status: count}}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from itertools import count
from typing import Any

from benchmarks.wire import Messages

MAX_SECONDS = 3600.0


class Client(Messages):
    """One kept connection; one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._answered: asyncio.Future[int] | None = None

    async def ask(self, request: bytes) -> int:
        """Send it; the status of the answer. Raises ConnectionError."""
        if self.transport.is_closing():
            raise ConnectionResetError("the server closed the connection")
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answered

    def message(self, head: bytes, body: bytes) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("the server closed the connection"))


class Stream:
    """Requests of one kind, and how long their answers took."""

    def __init__(self, spec: dict[str, Any], ended: asyncio.Event) -> None:
        self.name = spec["name"]
        self._port, self._clients, self._rate = spec["port"], spec["clients"], spec.get("rate")
        self._requests = [text.encode() for text in spec["requests"]]
        self._ended = ended
        self._latencies: list[float] = []
        self._statuses: Counter[int] = Counter()

    async def run(self) -> dict[str, Any]:
        """Send everything; what came of it."""
        loop = asyncio.get_running_loop()
        clients = [(await loop.create_connection(Client, "127.0.0.1", self._port))[1] for _ in range(self._clients)]
        begin, numbers = loop.time(), count()
        await asyncio.gather(*(self._use(client, numbers, begin) for client in clients))
        return {"latencies": self._latencies, "seconds": loop.time() - begin, "statuses": self._statuses}

    async def _use(self, client: Client, numbers: count[int], begin: float) -> None:
        loop = asyncio.get_running_loop()
        for number in numbers:
            if self._ended.is_set() or (self._rate is None and number >= len(self._requests)):
                return
            due = loop.time() if self._rate is None else begin + number / self._rate
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            self._statuses[await client.ask(self._requests[number % len(self._requests)])] += 1
            self._latencies.append(loop.time() - due)


def _at_end_of_input(ended: asyncio.Event) -> None:
    """Set ENDED when whoever started us wants no more, or has died."""
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()

    def look() -> None:
        if not os.read(stdin, 1024):
            loop.remove_reader(stdin)
            ended.set()

    loop.add_reader(stdin, look)


async def main() -> None:
    ended = asyncio.Event()
    streams = [Stream(spec, ended) for spec in json.loads(sys.stdin.readline())]
    _at_end_of_input(ended)
    async with asyncio.timeout(MAX_SECONDS):
        results = await asyncio.gather(*(stream.run() for stream in streams))
    json.dump({stream.name: result for stream, result in zip(streams, results, strict=True)}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())

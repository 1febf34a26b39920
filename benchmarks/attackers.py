"""Clients that hold a server up: ``python -m benchmarks.attackers PORT REPORT --idle N --slow N --passwords RATE``.

IDLE connections send nothing, SLOW ones a byte of a head, or of a body, every two seconds; what the server closes is
opened again. PASSWORDS wrong sign-ins come a second, each of another email, from ADDRESSES addresses of the loopback
in turn. Prints a line when all connections are open; when it is told to stop, writes to the file REPORT, as JSON, how
many connections were opened, and the statuses of the sign-ins.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

ADDRESSES = 200
SLOW_BYTE_SECONDS = 2.0
RETRY_SECONDS = 0.5
SIGN_IN_SECONDS = 30.0
OPENED_AT_ONCE = 100
HEAD = "GET /api/contacts HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = "POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n"


class Attack:
    """Everything that one process does to the server at PORT."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._gate = asyncio.Semaphore(OPENED_AT_ONCE)
        self.counts: Counter[str] = Counter()

    async def hold(self, kind: str, opening: str, opened: asyncio.Event) -> None:
        """Keep one connection of a KIND open for ever; send the OPENING, if any, and then single bytes, slowly."""
        while True:
            with suppress(OSError):
                async with self._gate:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                self.counts[f"{kind}_opened"] += 1
                writer.write(opening.encode())
                opened.set()
                while not await self._closed(reader, SLOW_BYTE_SECONDS if opening else None):
                    writer.write(b"x")
                writer.close()
            await asyncio.sleep(RETRY_SECONDS)

    async def _closed(self, reader: asyncio.StreamReader, seconds: float | None) -> bool:
        """Whether the server has closed the connection, or answered, within SECONDS, None for ever."""
        try:
            async with asyncio.timeout(seconds):
                await reader.read(4096)
        except TimeoutError:
            return False
        return True

    async def guess(self, rate: float) -> None:
        """Sign in with wrong passwords, RATE times a second."""
        loop, tasks = asyncio.get_running_loop(), set()
        begin = loop.time()
        for number in count():
            await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
            task = asyncio.create_task(self._sign_in(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _sign_in(self, number: int) -> None:
        address = f"127.0.{1 + number % ADDRESSES // 100}.{2 + number % 100}"
        body = json.dumps({"email": f"nobody{number}@example.org", "password": "a wrong password"})
        head = "POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self.counts["sign_ins"] += 1
        try:
            async with asyncio.timeout(SIGN_IN_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0))
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
                line = await reader.readline()
                writer.close()
            self.counts[f"sign_in_{line[9:12].decode() or 'closed'}"] += 1
        except (OSError, TimeoutError) as error:
            self.counts[f"sign_in_{type(error).__name__}"] += 1


async def main(options: argparse.Namespace) -> None:
    attack, ended = Attack(options.port), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    openings = [("idle", "")] * options.idle + [("slow", (HEAD, BODY)[i % 2]) for i in range(options.slow)]
    opened = [asyncio.Event() for _ in openings]
    work = [asyncio.create_task(attack.hold(*one, event)) for one, event in zip(openings, opened, strict=True)]
    await asyncio.gather(*(event.wait() for event in opened))
    work.append(asyncio.create_task(attack.guess(options.passwords)))
    print("all are open", flush=True)
    await ended.wait()
    options.report.write_text(json.dumps(attack.counts))
    for task in work:
        task.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("report", type=Path)
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--passwords", type=float, default=200.0)
    asyncio.run(main(parser.parse_args()))

"""A provider that answers at once, and does as little as it can: ``python -m benchmarks.loopback [--delay SECONDS]``.

It remembers when each request for a call came, on the clock that all processes of the machine share. The simulator
would be a part of what is measured; this one costs a fraction of a client. Its own addresses:
``/receipts`` gives [[monotonic seconds, number, path prefix], …], ``/await/N`` answers once there are N of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from urllib.parse import parse_qs

from benchmarks.wire import Messages, answer
from scfm.simulator.call import Call
from scfm.simulator.call_options import CallOptions

SID = "CA" + "0" * 32
NUMBER = "+15550000000"


def sid_of(number: str) -> str:
    """The id of the call to a number; there is one to each."""
    return f"CA{number.lstrip('+'):0>32}"


def _template() -> bytes:
    """What a carrier answers, whole: it is stored with the call, so its size matters."""
    account_sid = "AC" + "1" * 32
    call = Call(account_sid, token="", to=NUMBER, from_="1234", options=CallOptions(), request=1, sid=SID)
    return json.dumps(call.as_json()).encode()


class Books:
    """The receipts of all connections, and who waits for how many."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.receipts: list[tuple[float, str, str]] = []
        self.awaited: list[tuple[int, asyncio.Transport]] = []
        self._template = _template()

    def receive(self, path: str, body: bytes) -> bytes:
        """A call is asked for: the answer."""
        number = parse_qs(body.decode())["To"][0]
        self.receipts.append((time.monotonic(), number, path.partition("/2010-04-01")[0]))
        for wanted in [one for one in self.awaited if one[0] <= len(self.receipts)]:
            self.awaited.remove(wanted)
            wanted[1].write(answer(200, b"{}"))
        call = self._template.replace(SID.encode(), sid_of(number).encode())
        return answer(201, call.replace(NUMBER.encode(), number.encode()))


class Connection(Messages):
    def __init__(self, books: Books) -> None:
        super().__init__()
        self._books = books

    def message(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if method == "POST":
            self._reply(self._books.receive(path, body))
        elif path.startswith("/await/"):
            self._await(int(path.rpartition("/")[2]))
        elif path == "/receipts":
            self.transport.write(answer(200, json.dumps(self._books.receipts).encode()))
        else:
            self.transport.write(answer(200, b'{"calls": []}'))

    def _reply(self, content: bytes) -> None:
        if self._books.delay:
            asyncio.get_running_loop().call_later(self._books.delay, self.transport.write, content)
        else:
            self.transport.write(content)

    def _await(self, count: int) -> None:
        if len(self._books.receipts) >= count:
            self.transport.write(answer(200, b"{}"))
        else:
            self._books.awaited.append((count, self.transport))


async def serve(delay: float) -> None:
    """Listen on a free port until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    books = Books(delay)
    server = await loop.create_server(lambda: Connection(books), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0, help="how long an answer takes, in seconds")
    asyncio.run(serve(parser.parse_args().delay))

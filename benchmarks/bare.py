"""Tornado with nothing behind it: ``python -m benchmarks.bare SIZE [LOOP]`` answers all with so many bytes of JSON.

LOOP is ``uvloop``, or ``asyncio``, on which a Tornado runs where nobody says otherwise.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from scfm.runtime import event_loop


class Anything(RequestHandler):
    body = b""

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(self.body)

    post = get


async def serve(size: int) -> None:
    """Listen on a free port until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    Anything.body = b'"' + b"x" * (size - 2) + b'"'
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/.*", Anything)], log_function=lambda handler: None)).add_sockets(sockets)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()


if __name__ == "__main__":
    run = {"asyncio": asyncio.run, "uvloop": event_loop.run}[sys.argv[2] if len(sys.argv) > 2 else "asyncio"]
    run(serve(int(sys.argv[1])))

"""``python -m benchmarks.page_load``: how long the page takes over a slow link, and what an idle page costs.

The link is emulated by Chromium (250 kbit/s, 300 ms for each request); bytes are those that pass through a proxy,
with all headers. Needs Chromium and its driver.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.machine import describe
from tests.page.browsing import Page, People
from tests.page.chromium import chromium
from tests.server import Server

BYTES_PER_SECOND = 250_000 / 8
LATENCY_MS = 300
REPEAT = 5
IDLE_SECONDS = 120
# When something was first painted, and when the sign-in form worked or the list of alerts stood there.
PAINTED = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@dataclass
class Link:
    """A TCP proxy to a server, which counts the bytes both ways."""

    target: int
    port: int = 0
    passed: int = 0

    async def serve(self, started: threading.Event) -> None:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await server.serve_forever()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while content := await reader.read(1 << 16):
                self.passed += len(content)
                writer.write(content)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@contextmanager
def link_to(server: Server) -> Iterator[Link]:
    """A link, served by a thread of its own."""
    link, started, loop = Link(server.port), threading.Event(), asyncio.new_event_loop()
    task = loop.create_task(link.serve(started))
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    started.wait()
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def slow(page: Page) -> None:
    """Emulate the link, with nothing in the cache."""
    page.browser.execute_cdp_cmd("Network.enable", {})
    page.browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    conditions = {"downloadThroughput": BYTES_PER_SECOND, "uploadThroughput": BYTES_PER_SECOND, "latency": LATENCY_MS}
    page.browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **conditions})


def loaded(page: Page, link: Link, role: str | None) -> tuple[float, float, int]:
    """Seconds until something is painted and until it can be used, and the bytes, of a first load."""
    page.begin(role)
    slow(page)
    before, began = link.passed, time.monotonic()
    page.browser.execute_script("location.href = arguments[0]", f"{page.url}/")
    useful = "#sign-in-button:not(:disabled)" if role is None else "#content .empty, #content table"
    page.wait_for(useful)
    seconds = time.monotonic() - began
    painted = page.wait(lambda: page.browser.execute_script(PAINTED))
    page.online(True)
    return painted / 1000, seconds, link.passed - before


def idle(page: Page, link: Link) -> float:
    """Bytes a minute of a list of alerts in which nothing happens."""
    page.begin("operator")
    page.wait_for("#content .empty, #content table")
    time.sleep(5)
    before = link.passed
    time.sleep(IDLE_SECONDS)
    return (link.passed - before) * 60 / IDLE_SECONDS


def main() -> None:
    print(describe())
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), {"PLATFORM_PROVIDER": "simulator"}) as server,
        link_to(server) as link,
        chromium() as browser,
    ):
        page = Page(browser, f"http://127.0.0.1:{link.port}", People(server.new_account()), Path(folder))
        for name, role in (("signing in", None), ("alerts, signed in", "operator")):
            runs = [loaded(page, link, role) for _ in range(REPEAT)]
            painted, useful, size = (median(one) for one in zip(*runs, strict=True))
            print(f"{name}: painted after {painted:.2f} s, useful after {useful:.2f} s, {size:,.0f} bytes")
        print(f"idle: {idle(page, link):,.0f} bytes a minute")


if __name__ == "__main__":
    main()

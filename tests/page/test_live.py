"""Figures that follow a callout: by the stream, through a proxy that holds it back, and over a server's death."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from scfm.handlers.page_files import page_files
from tests.page.browsing import Page
from tests.page.proxies import proxy_to
from tests.resources.conftest import make
from tests.server import Server

FOLLOW = """
const done = arguments[arguments.length - 1];
window.states = [];
window.totals = [];
import(arguments[0]).then(({ follow }) => {
  const path = `api/callouts/${arguments[1]}/progress`;
  window.stop = follow(path, ({ people }) => window.totals.push(people.total), (state) => window.states.push(state));
  done();
});
"""


@contextmanager
def holding_back(server: Server) -> Iterator[str]:
    """The URL of a proxy that passes an answer on when it has ended, which a stream does not."""
    over = threading.Event()

    def is_stream(request: BaseHTTPRequestHandler) -> bool:
        if request.path.endswith("/progress"):
            over.wait()
            request.close_connection = True
            return True
        return False

    with proxy_to(server, is_stream) as url:
        try:
            yield url
        finally:
            over.set()


def follow(page: Page, callout_id: int) -> None:
    page.browser.execute_async_script(FOLLOW, f"{page.url}/static/{page_files().digest}/lib/live.js", callout_id)


def seen(page: Page, name: str) -> list[Any]:
    found: list[Any] = page.browser.execute_script(f"return window.{name}")
    return found


def someone_joins(page: Page, callout_id: int, number: str) -> None:
    contact_id = make(page.api, "/api/contacts", msisdn=number)
    make(page.api, f"/api/callouts/{callout_id}/callout_participations", contact_id=contact_id)


def test_figures_come_by_the_stream_when_they_change(page: Page) -> None:
    callout_id = make(page.api, "/api/callouts")
    follow(page, callout_id)
    page.wait(lambda: seen(page, "states") == ["connecting", "live"] and seen(page, "totals") == [0])
    someone_joins(page, callout_id, "+85510400001")
    page.wait(lambda: seen(page, "totals")[-1] == 1)
    page.browser.execute_script("window.stop()")


def test_where_a_proxy_holds_the_stream_back_the_page_asks(page: Page) -> None:
    callout_id = make(page.api, "/api/callouts")
    with holding_back(page.api.server) as url:
        page.url = url
        page.browser.get(f"{url}/health")
        page.sign_in_as("viewer")
        page.browser.get(f"{url}/")
        page.wait_for("#content h1")
        follow(page, callout_id)
        page.wait(lambda: seen(page, "states") == ["connecting", "polling"] and seen(page, "totals") == [0])
        someone_joins(page, callout_id, "+85510400002")
        page.wait(lambda: seen(page, "totals")[-1] == 1)
        page.browser.execute_script("window.stop()")
        page.browser.get("about:blank")


def test_it_says_that_the_server_is_gone_and_goes_on_when_it_is_back(page: Page) -> None:
    server = page.api.server
    callout_id = make(page.api, "/api/callouts")
    follow(page, callout_id)
    page.wait(lambda: seen(page, "states")[-1:] == ["live"])
    server.options = ("--port", str(server.port))
    server.kill()
    page.wait_for_text("The server does not answer.", ".connection")
    page.wait(lambda: seen(page, "states")[-1] == "lost")
    server.start()
    page.wait_for_text("The connection is back.", ".connection")
    page.wait(lambda: seen(page, "states")[-1] == "live")
    someone_joins(page, callout_id, "+85510400003")
    page.wait(lambda: seen(page, "totals")[-1] == 1)
    page.browser.execute_script("window.stop()")
    page.wait(lambda: page.text(".connection") == "")


def test_a_callout_that_is_not_there_is_not_followed(page: Page) -> None:
    follow(page, 999_999_999)
    page.wait(lambda: seen(page, "states")[-1:] == ["ended"])

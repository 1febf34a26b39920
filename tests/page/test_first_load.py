"""What it takes to see something: the bytes and requests of the first load, and those of a page that is idle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from posixpath import dirname, normpath
from typing import Any

from scfm.handlers.page_files import page_files
from tests.page.browsing import Page

OpenPage = Callable[..., Page]
MAX_FIRST_BYTES = 60_000
IMPORT = re.compile(r'(?:from|import) ?"(\.[^"]+)"')


def reached(name: str, found: set[str]) -> set[str]:
    """A script of the page and all that it imports when it is loaded."""
    if name not in found:
        found.add(name)
        for address in IMPORT.findall(page_files().by_name[name].content.decode()):
            reached(normpath(f"{dirname(name)}/{address}").lstrip("/"), found)
    return found


def test_the_first_load_is_small() -> None:
    names = {
        "style.css",
        "icon.svg",
        "texts/en/first.json",
        *reached("main.js", set()),
        *reached("views/alerts.js", set()),
    }
    assert len(names) > 10
    size = len(page_files().index("en", signed_in=False).gzip) + sum(
        len(page_files().by_name[one].gzip) for one in names
    )
    assert size < MAX_FIRST_BYTES


def test_all_scripts_of_the_first_load_are_asked_for_at_once() -> None:
    html = page_files().index("en", signed_in=False).content.decode()
    asked = re.findall(r'(?:modulepreload" href|script type="module" src)="static/\w+/([^"]+)"', html)
    assert set(asked) == reached("main.js", set()) | reached("views/alerts.js", set())


def test_the_browser_loads_no_more_than_that(open_page: OpenPage) -> None:
    page = open_page(None)
    page.browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    page.browser.get(f"{page.url}/")
    page.wait(lambda: page.wait_for("#sign-in-button").is_enabled())
    loaded: list[dict[str, Any]] = page.browser.execute_script(
        "return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".map(({name, transferSize}) => ({name, transferSize}))"
    )
    assert all(one["name"].startswith(page.url) for one in loaded)
    assert 10_000 < sum(one["transferSize"] for one in loaded) < MAX_FIRST_BYTES, json.dumps(loaded)

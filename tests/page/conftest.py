"""A server with simulated phones, one browser, and pages that somebody is signed in to.

Not collected by ``make test``, which needs no browser: ``make test-page`` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.acceptance.test_behind_a_proxy import PREFIX, proxy
from tests.page.alerts import SCENARIO, free_port, scenario_carrier, settings_for
from tests.page.browsing import Page, People
from tests.page.chromium import chromium
from tests.server import Server

ROOT = Path(__file__).parents[2]
# Where pictures of the pages are left, to be looked at.
PICTURES = ROOT / "build" / "page"
# What the tests are about happens within a moment, not once a second.
SETTINGS = {"PLATFORM_PROVIDER": "simulator", "SWEEP_SECONDS": "0.2"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has a first account, with a simulated provider."""
    with Server(tmp_path_factory.mktemp("data"), SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def alert_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose calls are answered as ``alerts.SCENARIO`` says, on a port that it keeps when it starts again."""
    folder = tmp_path_factory.mktemp("alerts")
    with (
        scenario_carrier(folder, SCENARIO) as carrier,
        Server(folder / "data", settings_for(carrier), "--port", str(free_port())) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """One browser for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def people(server: Server) -> People:
    """A new account, with users of any role."""
    return People(server.new_account())


@pytest.fixture
def open_page(browser: webdriver.Chrome, server: Server, people: People) -> Iterator[Callable[..., Page]]:
    """Opens the page for a user of a role in the test's account; what the browser complains of fails the test."""
    opened = []

    def opening(role: str | None = "admin") -> Page:
        page = Page(browser, server.url, people, PICTURES)
        opened.append(page)
        page.begin(role)
        return page

    yield opening
    for page in opened[-1:]:
        page.end()


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The page, with an admin signed in."""
    return open_page()


@pytest.fixture
def below(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Page]:
    """A page that nobody is signed in to, behind a proxy that has put its server below a path."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{PREFIX}"
    with Server(tmp_path, {**SETTINGS, "PUBLIC_URL": url}) as server, proxy(port, server):
        page = Page(browser, url, People(server.new_account()), PICTURES)
        page.begin(None)
        yield page
        page.end()

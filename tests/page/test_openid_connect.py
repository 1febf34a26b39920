"""Signing in with an account of the organisation, in a browser: its cookies survive the way over another site."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.acceptance.openid_issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuer
from tests.page.browsing import COOKIE, Page, People
from tests.page.conftest import PICTURES
from tests.server import Server
from tests.torture.databases import free_port


@pytest.fixture
def provider() -> Iterator[Issuer]:
    """It is at 127.0.0.1, which is another site than localhost."""
    with issuer() as made:
        yield made


@pytest.fixture
def form(provider: Issuer, browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of a server with that issuer, with nobody signed in."""
    port = free_port()
    environment = {
        "OIDC_ISSUER": provider.url,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "PUBLIC_URL": f"http://localhost:{port}",
        "PLATFORM_PROVIDER": "simulator",
    }
    with Server(tmp_path_factory.mktemp("data"), environment, "--port", str(port)) as server:
        page = Page(browser, environment["PUBLIC_URL"], People(server.client()), PICTURES)
        page.begin(None)
        yield page
        page.end()


def sign_in(page: Page, provider: Issuer) -> None:
    """Follow the link, and sign in at the issuer, whose page has a link back."""
    page.click("Sign in with your organisation")
    page.wait(lambda: page.browser.current_url.startswith(provider.url))
    assert page.browser.get_cookies() == []
    page.browser.find_element(By.TAG_NAME, "a").click()


def test_who_signs_in_at_the_issuer_comes_back_signed_in(form: Page, provider: Issuer) -> None:
    provider.claims = {"email": form.people.email("operator"), "email_verified": True}
    sign_in(form, provider)
    form.wait_for_text("Alerts", "#content h1")
    assert form.people.email("operator") in form.text(".top")
    assert urlsplit(form.browser.current_url).query == ""
    cookie = form.browser.get_cookie(COOKIE)
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    form.browser.refresh()
    form.wait_for_text("Alerts", "#content h1")
    form.sign_out()
    form.wait_for("#sign-in-form")


def test_who_is_no_user_is_told_so(form: Page, provider: Issuer) -> None:
    provider.claims = {"email": "nobody@example.org", "email_verified": True}
    sign_in(form, provider)
    form.wait_for_text("no user here has that e-mail address", "#sign-in")
    assert form.browser.get_cookie(COOKIE) is None

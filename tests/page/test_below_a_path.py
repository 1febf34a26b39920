"""The page behind a proxy that has put the server below a path."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from tests.acceptance.test_behind_a_proxy import PREFIX
from tests.page.browsing import COOKIE, PASSWORD, Page


def test_people_sign_in_and_go_about(below: Page) -> None:
    below.wait(lambda: below.wait_for("#sign-in-button").is_enabled())
    below.fill("E-mail address", below.people.email("admin"))
    below.fill("Password", PASSWORD)
    below.press(Keys.ENTER)
    below.wait_for_text("No alert has been made yet.")
    assert below.browser.get_cookie(COOKIE)["path"] == PREFIX
    below.browser.refresh()
    below.wait_for_text("No alert has been made yet.")
    below.click("Contacts")
    below.wait_for_text("Contacts", "#content h1")
    assert below.browser.current_url.startswith(f"{below.url}/#/")
    below.sign_out()
    below.wait_for("#sign-in-form")

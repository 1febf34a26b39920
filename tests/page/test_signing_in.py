"""The sign-in form: there before any script, in three languages, and again when a session has ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium.webdriver.common.keys import Keys

from tests.page.browsing import COOKIE, PASSWORD, Page
from tests.server import Client

OpenPage = Callable[..., Page]


@pytest.fixture
def form(open_page: OpenPage) -> Page:
    """The page, with nobody signed in."""
    page = open_page(None)
    page.wait(lambda: page.wait_for("#sign-in-button").is_enabled())
    return page


def sign_in(page: Page, role: str = "operator", password: str = PASSWORD) -> None:
    page.fill("E-mail address", page.people.email(role))
    page.fill("Password", password)
    page.press(Keys.ENTER)


def test_who_signs_in_sees_the_alerts(form: Page) -> None:
    sign_in(form)
    form.wait_for_text("Alerts", "#content h1")
    assert form.people.email("operator") in form.text(".top")
    assert form.browser.get_cookie(COOKIE)["httpOnly"]
    assert form.browser.execute_script("return document.cookie") == ""


def test_a_wrong_password_is_said_and_nothing_typed_is_lost(form: Page) -> None:
    sign_in(form, password="wrong")
    form.wait_for_text("The e-mail address or the password is wrong.", "#sign-in")
    assert form.field("E-mail address").get_attribute("value") == form.people.email("operator")
    assert form.focused() == "Password"
    form.press(PASSWORD, Keys.ENTER)
    form.wait_for("#content h1")


def test_after_five_wrong_passwords_even_the_right_one_waits(form: Page) -> None:
    form.people.email("viewer")
    for _ in range(5):
        refused = form.api.server.request(
            "POST", "/session", json={"email": form.people.email("viewer"), "password": "wrong"}, token=""
        )
        assert refused.status == 401
    sign_in(form, "viewer")
    form.wait_for_text("Too many tries.", "#sign-in")


def test_the_view_that_was_asked_for_is_there_after_signing_in(open_page: OpenPage) -> None:
    page = open_page(None)
    page.browser.get(f"{page.url}/#/nowhere/at/all")
    page.wait(lambda: page.wait_for("#sign-in-button").is_enabled())
    sign_in(page)
    page.wait_for_text("There is no such page", "#content h1")


def test_who_signs_out_is_asked_to_sign_in(page: Page) -> None:
    page.sign_out()
    page.wait_for("#sign-in-form")
    assert not page.all("#page *")
    assert page.browser.get_cookie(COOKIE) is None
    page.browser.refresh()
    page.wait_for("#sign-in-form")


def test_a_session_that_has_ended_is_renewed_at_the_same_place(page: Page) -> None:
    page.go("#/nowhere")
    page.browser.delete_all_cookies()
    page.browser.execute_script("window.kept = true")
    page.click("To the alerts")
    page.wait_for("#sign-in-form")
    page.wait_for_text("The session has ended.", "#sign-in")
    sign_in(page, "admin")
    page.wait_for_text("No alert has been made yet.", "#content")
    assert page.browser.execute_script("return window.kept")


def test_another_user_begins_anew(page: Page) -> None:
    page.go("#/users")
    page.sign_out()
    assert page.field("E-mail address").get_attribute("value") == ""
    sign_in(page, "viewer")
    page.wait_for_text("Alerts", "#content h1")
    assert not page.all("nav a[href='#/users']")
    assert page.people.email("viewer") in page.text(".top")


def test_what_a_user_has_begun_is_not_done_in_the_name_of_another(page: Page) -> None:
    page.go("#/settings")
    page.click("Hold the account's calls")
    page.wait_for("dialog[open]")
    page.browser.delete_all_cookies()
    page.click("Hold the account's calls")
    page.wait_for_text("The session has ended.", "#sign-in")
    sign_in(page, "operator")
    page.wait_for_text("Alerts", "#content h1")
    assert page.api.get("/api/account").json["calls_held_at"] is None


def test_who_signs_out_leaves_nothing_for_the_next(page: Page) -> None:
    page.go("#/alerts/new")
    page.fill("Name", "Not for others")
    page.sign_out()
    page.wait_for("#sign-in-form")
    assert page.browser.execute_script("return document.getElementById('page').childElementCount") == 0
    sign_in(page)
    page.go("#/alerts/new")
    page.wait(lambda: page.field("Name").get_attribute("value") == "")
    assert "The session has ended." not in page.text()


def test_the_own_password_is_changed(page: Page) -> None:
    page.wait_for(".user-menu .who").click()
    page.click("Change my password")
    page.fill("Present password", "not this one")
    page.fill("New password", "another good password")
    page.check_accessible()
    page.click("Save")
    page.wait_for_text("is wrong", "dialog")
    page.fill("Present password", PASSWORD)
    page.click("Save")
    page.wait_for_text("The password is changed.", "dialog")
    page.click("Close")
    page.sign_out()
    sign_in(page, "admin", "another good password")
    page.wait_for("#content h1")


def test_the_form_is_there_without_scripts(api: Client) -> None:
    html = api.server.request("GET", "/", token="", headers={"Accept": "text/html"}).json
    assert 'id="sign-in-form"' in html and 'autocomplete="current-password"' in html


def test_the_form_speaks_the_language_that_is_chosen_and_keeps_it(form: Page) -> None:
    form.click("Français")
    form.wait_for_text("Se connecter", "#sign-in-button")
    assert form.browser.execute_script("return document.documentElement.lang") == "fr"
    form.browser.refresh()
    form.wait_for_text("Se connecter", "#sign-in-button")
    form.click("ខ្មែរ")
    form.wait_for_text("ចូលប្រើ", "#sign-in-button")


def test_the_form_is_accessible_in_every_language_and_size(form: Page) -> None:
    form.check_view("sign-in", ("en", "fr", "km"))


def test_the_form_is_filled_in_by_keys_alone(form: Page) -> None:
    form.tab_to("E-mail address")
    form.press(form.people.email("operator"), Keys.TAB)
    assert form.focused() == "Password"
    form.press(PASSWORD, Keys.TAB)
    assert form.focused() == "Sign in"
    form.press(Keys.ENTER)
    form.wait_for("#content h1")

"""What is around every view: navigation, language, focus, the network, a server that dies and comes back."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler

import pytest
from selenium.webdriver.common.keys import Keys

from tests.page.browsing import HOSTILE, NARROW, Page
from tests.page.proxies import proxy_to


def test_the_skip_link_comes_first_and_leads_to_the_content(page: Page) -> None:
    page.tab_to("Skip to the content", 1)
    page.press(Keys.ENTER)
    assert page.browser.switch_to.active_element.get_attribute("id") == "content"


def test_a_view_that_comes_has_the_focus_on_its_title(page: Page) -> None:
    page.browser.execute_script("location.hash = '#/alerts?page=2'; location.hash = '#/nowhere'")
    page.wait_for_text("There is no such page", "#content h1")
    page.click("To the alerts")
    page.wait(lambda: page.focused() == "Alerts")
    assert page.browser.title == "Alerts · scfm"


def test_on_a_narrow_screen_a_menu_leads_to_the_places(page: Page) -> None:
    page.resize(NARROW)
    page.wait(lambda: not page.all("#places a"))
    page.tab_to("Menu")
    page.press(Keys.ENTER)
    page.wait_for("#places a")
    page.check_accessible()
    page.tab_to("Contacts")
    page.press(Keys.ENTER)
    page.wait_for_text("Contacts", "#content h1")
    page.wait(lambda: not page.all("#places a"))


def test_an_address_that_leads_nowhere_says_so(page: Page) -> None:
    page.go("#/nowhere")
    page.wait_for_text("There is no such page", "#content h1")
    page.check_view("not-found")
    assert page.browser.title.startswith("There is no such page")


def test_an_address_that_is_written_wrongly_breaks_nothing(page: Page) -> None:
    page.go("#/contacts/%")
    page.wait_for("#content .notice.error")
    page.click("Alerts")
    page.wait_for_text("Alerts", "#content h1")


def test_the_language_is_chosen_and_kept(page: Page) -> None:
    page.choose("Language", "Français")
    page.wait_for_text("Alertes", "#content h1")
    page.browser.refresh()
    page.wait_for_text("Alertes", "#content h1")
    page.choose("Langue", "English")
    page.wait_for_text("Alerts", "#content h1")


def test_a_device_without_a_network_is_told_so_and_told_when_it_is_back(page: Page) -> None:
    page.online(False)
    page.wait_for_text("This device has no network.")
    page.check_accessible()
    page.online(True)
    page.wait(lambda: "This device has no network." not in page.text())


@pytest.mark.parametrize("width", [360, 1200, 1280, 1440])
def test_the_header_is_one_line_in_every_language(page: Page, width: int) -> None:
    page.resize((width, 800))
    for language in ("en", "fr", "km"):
        page.language(language)
        page.wait_for(".user-menu")
        height = page.browser.execute_script("return document.querySelector('.top').offsetHeight")
        assert height < 66, (language, height)
        page.check_width()


def test_the_menu_of_who_is_signed_in_opens_and_closes_by_keys(page: Page) -> None:
    page.tab_to(page.people.email("admin"))
    page.press(Keys.ENTER)
    page.wait_for("#user-menu")
    page.check_accessible()
    page.tab_to("Sign out", 2)
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("#user-menu"))
    assert page.focused() == page.people.email("admin")


# No request of the API gets an answer until window.back() is called, and half a minute is over in a moment.
SLOW_SERVER = """const [sent, later] = [window.fetch, window.setTimeout];
window.setTimeout = (action, milliseconds) => later(action, milliseconds === 30000 ? 50 : milliseconds);
window.fetch = (address, given = {}) =>
  String(address).includes("/api/")
    ? new Promise((_, reject) => given.signal.addEventListener("abort", () => reject(given.signal.reason)))
    : sent(address, given);
window.back = () => { window.fetch = sent; window.setTimeout = later; };"""


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(page: Page) -> None:
    page.browser.execute_script(SLOW_SERVER)
    page.click("Contacts")
    page.wait_for_text("The server takes too long to answer.", "#content [role=alert]")
    page.browser.execute_script("window.back()")
    page.click("Try again")
    page.wait_for_text("There are no contacts yet.")


def test_nothing_is_cut_off_at_twice_the_size(page: Page) -> None:
    page.resize((NARROW[0] * 2, NARROW[1] * 2))
    page.browser.execute_script("document.documentElement.style.fontSize = '200%'")
    page.check_width()


def test_two_tabs_share_one_session(page: Page) -> None:
    with page.tab():
        page.browser.get(page.url)
        page.wait_for("#content h1")
        page.sign_out()
        page.wait_for("#sign-in-form")
    page.browser.refresh()
    page.wait_for("#sign-in-form")


def test_a_page_of_an_older_version_loads_itself_anew(page: Page) -> None:
    """The server is upgraded meanwhile: it has the new page, and not the files of the old one."""
    upgraded = threading.Event()

    def is_gone(request: BaseHTTPRequestHandler) -> bool:
        if request.path == "/":
            upgraded.clear()  # what comes now is the new version
        if not (upgraded.is_set() and request.path.startswith("/static/")):
            return False
        request.send_response(404)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True

    with proxy_to(page.api.server, is_gone) as page.url:
        page.browser.get(f"{page.url}/health")
        page.sign_in_as("viewer")
        page.browser.get(f"{page.url}/")
        page.wait_for("#content h1")
        page.browser.execute_script("window.old = true")
        upgraded.set()
        page.click("Contacts")
        page.wait_for_text("Contacts", "#content h1")
        assert page.browser.execute_script("return window.old") is None
        page.browser.get("about:blank")


def test_what_is_put_into_the_page_as_html_does_not_run_and_is_noticed(page: Page) -> None:
    """The last line of defence, and that these tests see a breach."""
    page.browser.execute_script(
        "document.getElementById('content').insertAdjacentHTML('beforeend', arguments[0])", HOSTILE
    )
    complaints = page.wait(page.complaints)
    assert any("Content Security Policy" in complaint for complaint in complaints), complaints
    assert page.browser.execute_script("return window.hacked ?? null") is None
    with pytest.raises(AssertionError):
        page.check_harmless()
    page.browser.execute_script("console.error('something')")
    page.wait(lambda: [one for one in page.complaints() if "something" in one])

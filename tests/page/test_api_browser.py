"""The API browser in a browser: it shows the document and tries requests, also below a path, under its policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.page.browsing import Page, People
from tests.page.conftest import PICTURES
from tests.server import Server

# Its headings begin with the second level, a link stands within the button that unfolds an operation, and what it
# says of the document stands beside its main part.
OF_SWAGGER_UI = ("heading-order", "nested-interactive", "region")
# It tells its makers of what it does itself with an underscore in an address.
OF_ITS_MAKERS = "escaping deep link whitespace"


class Reference:
    """The API browser as somebody sees it who tries a request."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def begin(self, address: str = "/api/docs") -> None:
        self.page.browser.get(self.page.url + address)
        self.page.wait_for("#browser .opblock")

    def end(self) -> None:
        """Leave it; AssertionError for what the browser has complained of."""
        complaints = [one for one in self.page.complaints() if OF_ITS_MAKERS not in one]
        self.page.end()
        assert not complaints, complaints

    def authorize(self, token: str) -> None:
        """Enter a bearer token."""
        self.page.wait_for("button.authorize").click()
        field = self.page.wait_for("#auth-bearer-value")
        field.send_keys(token)
        field.find_element(By.XPATH, "ancestor::form").find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        self.page.wait_for("button.btn-done").click()

    def open(self, tag: str, operation: str) -> WebElement:
        """Unfold an operation, and begin to try it."""
        selector = f"#operations-{tag}-{operation}"
        self.page.wait_for(f"{selector} .opblock-summary-control").click()
        self.page.wait_for(f"{selector} .try-out__btn").click()
        return self.page.wait_for(selector)

    def execute(self, operation: WebElement) -> tuple[str, str]:
        """Send the request; the status and the body of its answer."""
        operation.find_element(By.CSS_SELECTOR, "button.execute").click()
        answer = self.page.wait(lambda: operation.find_element(By.CSS_SELECTOR, ".live-responses-table .response"))
        status = answer.find_element(By.CSS_SELECTOR, ".response-col_status").text
        return status, answer.find_element(By.CSS_SELECTOR, ".response-col_description").text


@pytest.fixture
def reference(browser: webdriver.Chrome, server: Server, people: People) -> Iterator[Reference]:
    page = Page(browser, server.url, people, PICTURES)
    page.begin(None)
    reference = Reference(page)
    yield reference
    reference.end()


@pytest.fixture
def reference_below(below: Page) -> Iterator[Reference]:
    reference = Reference(below)
    yield reference
    reference.end()


def try_requests(reference: Reference) -> None:
    """A contact is created with the example, and found by its metadata."""
    api = reference.page.people.api
    reference.authorize(api.token)
    status, body = reference.execute(reference.open("contacts", "create_contact"))
    assert status.split()[0] == "201", body
    (contact,) = api.get("/api/contacts").json
    assert f'"id": {contact["id"]}' in body
    api.post("/api/contacts", {"msisdn": "+85512345671"})
    listing = reference.open("contacts", "list_contacts")
    filters = listing.find_element(By.CSS_SELECTOR, "tr[data-param-name=q] textarea")
    reference.page.browser.execute_script("arguments[0].scrollIntoView()", filters)
    filters.clear()
    filters.send_keys('{"metadata": {"name": "Alice"}}')
    status, body = reference.execute(listing)
    assert status.split()[0] == "200", body
    assert "+85512345678" in body and "+85512345671" not in body
    url = listing.find_element(By.CSS_SELECTOR, ".request-url pre").text
    assert url.startswith(f"{reference.page.url}/api/contacts?")


def test_requests_are_tried_with_a_token(reference: Reference) -> None:
    reference.begin()
    try_requests(reference)
    reference.page.picture("api-browser-tried")


@pytest.mark.parametrize("address", ["/api/docs", "/api/docs/"])
def test_requests_are_tried_below_a_path(reference_below: Reference, address: str) -> None:
    reference_below.begin(address)
    if address == "/api/docs":
        try_requests(reference_below)


def test_a_request_without_a_token_is_refused_though_somebody_is_signed_in(
    open_page: Callable[..., Page],
) -> None:
    reference = Reference(open_page("admin"))
    reference.begin()
    status, _ = reference.execute(reference.open("contacts", "list_contacts"))
    assert status.split()[0] == "401"
    reference.end()


def test_an_operation_has_an_address(reference: Reference) -> None:
    reference.begin("/api/docs#/callouts/preflight_of_callout")
    shown = reference.page.wait_for("#operations-callouts-preflight_of_callout.is-open")
    assert "What the callout's plan, or another, would come to" in shown.text
    assert "viewer" in shown.text


def test_it_can_be_used_by_everybody(reference: Reference) -> None:
    """As far as the rules of axe-core tell, without those that Swagger UI breaks in its own markup."""
    reference.begin("/api/docs#/contacts/create_contact")
    reference.page.wait_for("#operations-contacts-create_contact.is-open .opblock-body")
    reference.page.check_accessible(without=OF_SWAGGER_UI)
    reference.page.picture("api-browser")

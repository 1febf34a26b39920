"""Drafts of alerts for the tests of the form in which they are made."""

from __future__ import annotations

from typing import Any

from tests.page.browsing import Page
from tests.resources.conftest import make
from tests.server import Client

NUMBERS = [f"+85510300{number:04}" for number in range(1, 6)]


def contacts(api: Client, *metadata: dict[str, Any]) -> None:
    """Contacts of these metadata, of NUMBERS."""
    for number, one in zip(NUMBERS, metadata, strict=False):
        make(api, "/api/contacts", msisdn=number, metadata=one)


def draft_of(page: Page) -> Any:
    """The callout that the form is stored as, when it is."""
    page.wait(lambda: "id=" in page.browser.current_url)
    page.wait_for_text("Saved.")
    return page.api.get(f"/api/callouts/{page.browser.current_url.partition('id=')[2]}").json


def begin(page: Page, text: str = "The water is rising.", address: str = "#/alerts/new") -> None:
    """Open the form and write the text that people hear; the draft is stored."""
    page.go(address)
    page.field("a text read by a voice").click()
    page.fill("Message", text)
    draft_of(page)

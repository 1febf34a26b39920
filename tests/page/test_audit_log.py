"""The audit log in the page: who did what, before and after, and the way to find it."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.browsing import HOSTILE, Page
from tests.resources.conftest import make

OpenPage = Callable[..., Page]


def rows(page: Page) -> list[str]:
    return [one.text for one in page.all("tbody tr")]


def test_what_was_done_is_told_with_before_and_after(page: Page) -> None:
    contact = make(page.api, "/api/contacts", msisdn="+85510300001", metadata={"name": "Sok Dara"})
    page.api.patch(f"/api/contacts/{contact}", json={"metadata": {"name": "Sok Vanna"}})
    page.go("#/audit")
    page.wait_for_text("signed in", "tbody")
    page.choose("To what", "contact")
    page.click("Search")
    page.wait(lambda: len(rows(page)) == 2)
    changed, made = rows(page)
    assert "changed" in changed and "made" in made and f"contact {contact}" in made
    page.click("1 field: metadata")
    page.wait_for_text("Sok Vanna", "tbody ins")
    assert "Sok Dara" in page.text("tbody del")
    page.check_view("audit")
    page.choose("What was done", "made")
    page.click("Search")
    page.wait(lambda: len(rows(page)) == 1)
    page.click("Show all")
    page.fill("Who", page.people.email("admin"))
    page.click("Search")
    page.wait(lambda: rows(page) and all(page.people.email("admin") in row for row in rows(page)))
    page.go("#/audit?from=2090-01-01T00:00")
    page.wait_for_text("Nothing fits.")


def test_what_stands_in_the_log_is_text(page: Page) -> None:
    make(page.api, "/api/contacts", msisdn="+85510300001", metadata={"name": HOSTILE})
    make(page.api, "/api/opt_outs", msisdn="+85510300001", reason=HOSTILE)
    page.go("#/audit?subject=opt_out")
    page.wait(lambda: len(rows(page)) == 1)
    page.wait_for("tbody summary").click()
    page.wait_for_text(HOSTILE, "tbody")
    page.check_harmless()


def test_a_viewer_s_log_has_no_whole_number(open_page: OpenPage) -> None:
    page = open_page("viewer")
    make(page.api, "/api/contacts", msisdn="+85510300001")
    page.go("#/audit?subject=contact")
    page.click("1 field: msisdn")
    page.wait_for_text("•001", "tbody")
    assert "10300001" not in page.browser.page_source

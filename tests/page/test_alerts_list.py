"""The first view: the alerts, those that run first, each with a sentence about its people."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.browsing import HOSTILE, Page
from tests.resources.conftest import make
from tests.server import wait_until

OpenPage = Callable[..., Page]
NUMBERS = [f"+85510300{number:04}" for number in range(1, 4)]


def alert(page: Page, **metadata: object) -> int:
    plan = {"audience": {}, "remote_request_params": {"from": "1294"}}
    message = {"message": "The water is rising.", **metadata}
    return make(page.api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", metadata=message, plan=plan)


def carried_out(page: Page, callout_id: int) -> None:
    """Start it, and wait for its end."""
    started = page.api.post(f"/api/callouts/{callout_id}/callout_events", {"event": "start"})
    assert started.status == 201, started
    wait_until(lambda: page.api.get(f"/api/callouts/{callout_id}").json["status"] == "completed")


def titles(page: Page) -> list[str]:
    return [one.text for one in page.all("tbody th a")]


def test_an_account_without_alerts_is_told_so(page: Page) -> None:
    page.wait_for_text("No alert has been made yet.")
    page.check_view("alerts-none")


def test_each_alert_says_how_many_it_has_reached(page: Page) -> None:
    for number in NUMBERS:
        make(page.api, "/api/contacts", msisdn=number)
    callout_id = alert(page, title="Flood in Stung Treng")
    carried_out(page, callout_id)
    page.browser.refresh()
    page.wait_for_text("Flood in Stung Treng")
    people = page.api.get(f"/api/callouts/{callout_id}/statistics").json["people"]
    reached = people["reached"] + people["acknowledged"]
    page.wait_for_text(f"{reached} of 3 reached")
    assert page.wait_for("tbody th a").get_attribute("href").endswith(f"#/alerts/{callout_id}")
    page.check_view("alerts", ("en", "fr", "km"))


def test_those_that_run_come_first_and_the_newest_before_others(page: Page) -> None:
    # Without a plan, a callout runs until it is stopped.
    titles_made = ["The one that runs", *(f"Alert number {number}" for number in range(1, 30))]
    ids = [make(page.api, "/api/callouts", metadata={"title": title}) for title in titles_made]
    started = page.api.post(f"/api/callouts/{ids[0]}/callout_events", {"event": "start"})
    assert started.status == 201, started
    page.browser.refresh()
    page.wait(lambda: titles(page)[:3] == ["The one that runs", "Alert number 29", "Alert number 28"])
    page.click("Next")
    page.wait(lambda: titles(page)[:2] == ["Alert number 4", "Alert number 3"])
    page.click("Previous")
    page.wait(lambda: titles(page)[:1] == ["The one that runs"])


def test_a_drill_has_another_word_and_another_address(page: Page) -> None:
    drill = alert(page, title="Practice", drill=True)
    page.browser.refresh()
    page.wait_for_text("Practice")
    assert "DRILL" in page.text("tbody")
    assert page.wait_for("tbody th a").get_attribute("href").endswith(f"#/drills/{drill}")
    page.check_view("alerts-drill")


def test_a_title_is_text_whatever_is_in_it(page: Page) -> None:
    alert(page, title=HOSTILE)
    page.browser.refresh()
    page.wait_for_text(HOSTILE)
    page.check_harmless()


def test_viewers_are_not_offered_what_they_may_not_do(open_page: OpenPage) -> None:
    page = open_page("viewer")
    page.wait_for_text("No alert has been made yet.")
    assert "New alert" not in page.text()
    assert not page.all("nav a[href='#/users']")
    page = open_page("operator")
    page.wait_for_text("New alert")

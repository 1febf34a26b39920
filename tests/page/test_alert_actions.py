"""What is done on the page of an alert: it is stopped, paused and approved, and calls are held; in any tab."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.page.alert_view import (
    actions,
    figures,
    press,
    ringing,
    shows_figures,
    wait_for_phase,
)
from tests.page.alerts import (
    ACKNOWLEDGES,
    add_people,
    make_alert,
    send_event,
)
from tests.page.browsing import Page
from tests.server import Server


@pytest.fixture(scope="module")
def server(alert_server: Server) -> Server:
    """People answer as the scenario says."""
    return alert_server


def test_it_is_stopped_in_two_steps_that_say_what_becomes_of_whom(page: Page) -> None:
    callout_id = ringing(page)
    assert "4 ring or talk now" in page.text(".people")
    press(page, "stop")
    page.wait_for_text("4 calls that ring or talk go on to their end.", "dialog")
    assert "0 people who wait for a call are not called any more." in page.text("dialog")
    assert "To interrupt it only, use Pause." in page.text("dialog")
    page.click("Cancel")
    assert page.api.get(f"/api/callouts/{callout_id}").json["status"] == "running"

    press(page, "stop")
    page.field("Hang up calls that ring or talk").click()
    page.wait_for_text("4 calls that ring or talk are hung up.", "dialog")
    page.click("Stop now")
    wait_for_phase(page, "stopped")
    page.wait(lambda: figures(page)["unreached"] == 4)
    assert page.text(".alert-sentence").startswith("Stopped · 0 of 4 reached · 4 not reached")
    assert not page.all("dialog")


def test_it_is_paused_and_resumed(page: Page) -> None:
    ringing(page)
    press(page, "pause")
    assert "nobody else is called until you press Resume" in page.text("dialog")
    page.click("Pause")
    wait_for_phase(page, "paused")
    assert "4 ringing or talking" in page.text(".alert-sentence")
    assert actions(page) == {"resume", "stop", "hold"}
    press(page, "resume")
    page.click("Resume")
    wait_for_phase(page, "running")
    assert actions(page) == {"pause", "stop", "hold"}


def test_all_calls_are_held_and_released(page: Page) -> None:
    ringing(page)
    press(page, "hold")
    assert "No call leaves any more, whatever alert it belongs to" in page.text("dialog")
    page.click("Hold all calls")
    wait_for_phase(page, "held")
    assert page.api.get("/api/account").json["calls_held_at"] is not None
    assert page.wait_for("[data-part=provider]").get_attribute("data-state") == "held"
    press(page, "release")
    page.click("Release calls")
    wait_for_phase(page, "running")
    assert page.api.get("/api/account").json["calls_held_at"] is None


def test_what_is_done_in_one_tab_shows_in_another(page: Page) -> None:
    callout_id = ringing(page)
    with page.tab():
        page.go(f"#/alerts/{callout_id}")
        press(page, "pause")
        page.click("Pause")
        wait_for_phase(page, "paused")
    wait_for_phase(page, "paused")
    # Another process's change, with no figure of people in it, comes within moments, too.
    send_event(page.api, callout_id, "resume")
    wait_for_phase(page, "running")


def test_an_event_that_somebody_else_was_faster_with_is_told_at_its_place(page: Page) -> None:
    callout_id = ringing(page)
    press(page, "pause")
    send_event(page.api, callout_id, "pause")
    page.click("Pause")
    page.wait_for_text("is not included in the list", "dialog [role=alert]")
    page.click("Cancel")
    wait_for_phase(page, "paused")


def test_a_server_that_dies_is_missed_and_comes_back_by_itself(page: Page, server: Server) -> None:
    callout_id = ringing(page)
    before = figures(page)
    server.kill()
    page.wait_for_text("The server does not answer. Trying again · the figures are those of", ".alert-link")
    assert figures(page) == before
    assert page.wait_for("[data-part=database]").get_attribute("data-state") == "lost"
    server.start()
    page.wait(lambda: page.text(".alert-link").startswith("Live · "))
    press(page, "stop")
    page.field("Hang up calls that ring or talk").click()
    page.click("Stop now")
    wait_for_phase(page, "stopped")
    page.wait(lambda: shows_figures(page, callout_id))


def test_where_two_must_agree_another_person_starts_it(open_page: Callable[..., Page]) -> None:
    page = open_page("operator")
    assert page.api.patch("/api/account", json={"approval_required": True}).status == 204
    add_people(page.api, ACKNOWLEDGES)
    callout_id = make_alert(page.api)
    page.go(f"#/alerts/{callout_id}")
    page.wait(lambda: actions(page) == {"submit", "hold"})
    press(page, "submit")
    page.click("Send for approval")
    wait_for_phase(page, "submitted")
    page.wait(lambda: actions(page) == {"withdraw", "hold"})

    page.sign_in_as("approver")
    page.browser.refresh()
    page.wait(lambda: actions(page) == {"approve", "reject", "withdraw", "hold"})
    press(page, "reject")
    page.click("Reject")
    wait_for_phase(page, "rejected")
    send_event(page.api, callout_id, "submit")
    page.wait(lambda: "approve" in actions(page))
    press(page, "approve")
    assert "1 person is called, by 2 calls at most." in page.text("dialog")
    page.click("Approve and start")
    wait_for_phase(page, "completed")
    page.wait_for_text(f"by {page.people.email('approver')}")

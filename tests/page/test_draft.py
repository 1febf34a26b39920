"""The draft of an alert: stored as it is written, kept in the tab, shared with colleagues."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.browsing import Page
from tests.page.drafts import NUMBERS, begin, contacts, draft_of
from tests.resources.conftest import make
from tests.server import wait_until

OpenPage = Callable[..., Page]
# The answer to what makes a callout is there when window.held() is called; window.wentOn is whether it was taken.
HOLD_ANSWERS = """const sent = window.fetch;
window.fetch = async (address, given) => {
  const answer = await sent(address, given);
  if (given?.method === "POST" && String(address).endsWith("/api/callouts")) {
    await new Promise((resolve) => { window.held = resolve; });
  }
  if (String(address).endsWith("/preflight")) window.wentOn = true;
  return answer;
};"""


def test_a_reload_loses_nothing(page: Page) -> None:
    contacts(page.api, {"district": "Kratie"})
    page.go("#/alerts/new")
    page.fill("Name", "Not yet stored")
    page.browser.refresh()
    page.wait(lambda: page.field("Name").get_attribute("value") == "Not yet stored")
    page.field("a text read by a voice").click()
    page.fill("Message", "Go uphill.")
    page.field("Only in certain hours").click()
    page.choose("Calls to a person", "up to 4 calls")
    before = draft_of(page)
    assert before["plan"]["retry"]["max_attempts"] == 4
    page.browser.execute_script("sessionStorage.clear()")
    page.browser.refresh()
    page.wait(lambda: page.field("Message").get_attribute("value") == "Go uphill.")
    assert page.field("Name").get_attribute("value") == "Not yet stored"
    page.fill("Name", "Stored")
    wait_until(lambda: draft_of(page)["metadata"]["name"] == "Stored")
    after = draft_of(page)
    assert (after["plan"], after["metadata"]["message"]) == (before["plan"], "Go uphill.")
    assert len(page.api.get("/api/callouts").json) == 1


def test_what_a_colleague_has_mended_since_is_not_undone(page: Page) -> None:
    contacts(page.api, {})
    begin(page, "Go to the rivr.")
    made, address = draft_of(page), page.browser.current_url.partition("#")[2]
    page.go("#/alerts")
    mended = {"metadata": {"message": "Go to the hill."}}
    assert page.api.patch(f"/api/callouts/{made['id']}", json=mended).status == 204
    page.go(f"#{address}")
    page.wait(lambda: page.field("Message").get_attribute("value") == "Go to the hill.")
    assert draft_of(page)["metadata"]["message"] == "Go to the hill."


def test_a_draft_that_is_left_while_it_is_made_changes_no_other_address(page: Page) -> None:
    page.go("#/alerts/new")
    page.field("a text read by a voice").click()
    page.browser.execute_script(HOLD_ANSWERS)
    page.fill("Message", "The water is rising.")
    page.wait(lambda: page.browser.execute_script("return window.held !== undefined"))
    page.browser.execute_script("location.hash = '#/contacts'")
    page.wait_for_text("Contacts", "#content h1")
    page.browser.execute_script("window.held()")
    page.wait(lambda: page.browser.execute_script("return window.wentOn"))
    assert page.browser.current_url.endswith("#/contacts")


def test_a_filter_that_the_form_does_not_know_is_not_taken_for_everybody(page: Page) -> None:
    contacts(page.api, {}, {})
    plan = {"audience": {"contact_filter_params": {"msisdn": NUMBERS[0]}}}
    made = make(page.api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", plan=plan)
    page.go(f"#/alerts/new?id={made}")
    page.wait_for_text("1 person fits")
    page.click("Remove")
    page.wait_for_text("All contacts: 2 people")


def test_a_draft_that_is_discarded_is_gone(page: Page) -> None:
    contacts(page.api, {})
    begin(page)
    page.click("Discard")
    page.wait_for_text("Discard this draft?", "dialog")
    page.click("Discard")
    wait_until(lambda: page.api.get("/api/callouts").json == [])


def test_who_only_looks_at_a_draft_has_not_written_it(open_page: OpenPage) -> None:
    page = open_page("operator")
    contacts(page.api, {})
    begin(page)
    before, address = draft_of(page), page.browser.current_url.partition("#")[2]
    page = open_page("approver")
    page.go(f"#{address}")
    page.wait_for_text("Saved.")
    page.wait_for_text("People who are called", ".check-panel")
    assert page.api.get("/api/callouts").json == [before]

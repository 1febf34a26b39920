"""Phone calls in the page: found by number, status, alert and time; why one failed, in plain words; ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scfm.providers.refusals import REFUSAL_BY_CODE, REFUSAL_BY_SIP_STATUS
from tests.page.browsing import Page
from tests.resources.conftest import make
from tests.server import wait_until

OpenPage = Callable[..., Page]
# Of the simulated phones: answers, busy, does not answer, fails.
ANSWERS, BUSY, SILENT, FAILS = (f"+150055500{number}" for number in (10, 11, 12, 13))


def alert(page: Page, *msisdns: str, start: bool = True, **metadata: Any) -> int:
    for msisdn in msisdns:
        make(page.api, "/api/contacts", msisdn=msisdn)
    plan = {"audience": {}, "remote_request_params": {"from": "1294"}}
    told = {"message": "The water is rising.", "title": "Flood in Stung Treng", **metadata}
    callout = make(page.api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", metadata=told, plan=plan)
    if start:
        page.api.post(f"/api/callouts/{callout}/callout_events", {"event": "start"})
    return callout


def carried_out(page: Page, callout: int) -> None:
    wait_until(lambda: page.api.get(f"/api/callouts/{callout}").json["status"] == "completed")


def listed(page: Page) -> list[str]:
    return [one.text for one in page.all("tbody a.number")]


@pytest.fixture
def held(page: Page) -> Iterator[Page]:
    """The page of an account whose calls are held."""
    page.api.post("/api/account/account_events", {"event": "hold"})
    yield page


def test_calls_are_found_and_say_why_they_failed(page: Page) -> None:
    first = alert(page, ANSWERS, BUSY, SILENT, FAILS)
    carried_out(page, first)
    page.go("#/calls")
    page.wait_for_text("4 calls")
    for words in ("The line was busy.", "Nobody answered.", "Completed"):
        page.wait_for_text(words, "tbody")
    page.check_view("calls")
    page.choose("Status", "Busy")
    page.click("Search")
    page.wait(lambda: listed(page) == [BUSY])
    page.click("Show all")
    page.wait(lambda: len(listed(page)) == 4)
    page.fill("Phone number", SILENT)
    page.click("Search")
    page.wait(lambda: listed(page) == [SILENT])
    page.click("Show all")
    page.fill("Number of the alert", str(first + 1_000_000))
    page.click("Search")
    page.wait_for_text("This is not there")
    page.fill("Number of the alert", str(first))
    page.click("Search")
    page.wait(lambda: len(listed(page)) == 4)


def test_calls_of_a_time_are_found(page: Page) -> None:
    carried_out(page, alert(page, BUSY))
    page.go("#/calls?until=2020-01-01T00:00")
    page.wait_for_text("No call fits.")
    page.go("#/calls?from=2020-01-01T00:00")
    page.wait(lambda: listed(page) == [BUSY])


def test_a_call_s_page_tells_what_happened(page: Page) -> None:
    carried_out(page, alert(page, BUSY))
    page.go("#/calls")
    page.wait(lambda: listed(page) == [BUSY])
    page.wait_for("tbody th a").click()
    page.wait_for_text("The line was busy.")
    page.wait_for_text("A call that has left is not sent again.")
    page.wait_for_text("Flood in Stung Treng")
    page.wait_for_text("CallStatus busy")
    assert "End this call" not in page.text("#content")
    page.check_view("call")


def test_a_call_that_waits_is_ended_in_two_steps(held: Page) -> None:
    alert(held, ANSWERS)
    (call,) = wait_until(lambda: held.api.get("/api/phone_calls").json)
    held.go(f"#/calls/{call['id']}")
    held.wait_for_text("Waits for its turn.")
    held.click("End this call")
    held.wait_for_text("It has not left yet, and will not.")
    held.check_accessible()
    held.click("End this call")
    held.wait_for_text("The call was ended before it was answered.")
    assert held.api.get(f"/api/phone_calls/{call['id']}").json["status"] == "canceled"


def test_the_page_follows_a_call_to_its_end(held: Page) -> None:
    alert(held, BUSY)
    (call,) = wait_until(lambda: held.api.get("/api/phone_calls").json)
    held.go(f"#/calls/{call['id']}")
    held.wait_for_text("Waits for its turn.")
    held.api.post("/api/account/account_events", {"event": "release"})
    held.wait_for_text("The line was busy.")


def test_an_opted_out_number_is_explained(page: Page) -> None:
    make(page.api, "/api/opt_outs", msisdn=ANSWERS)
    contact = make(page.api, "/api/contacts", msisdn=ANSWERS)
    callout = make(page.api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", metadata={"message": "x"})
    participation = make(page.api, f"/api/callouts/{callout}/callout_participations", contact_id=contact)
    path = f"/api/callout_participations/{participation}/phone_calls"
    call = make(page.api, path, remote_request_params={"from": "1294", "url": "http://localhost/x"})
    page.go(f"#/calls/{call}")
    page.click("Send this call")
    page.wait_for_text("This number is not to be called.")


def test_every_code_that_refuses_a_number_has_its_words(page: Page) -> None:
    calls = [{"error_code": str(code)} for code in REFUSAL_BY_CODE]
    calls += [{"error_code": f"SIP {status}"} for status in REFUSAL_BY_SIP_STATUS]
    page.go("#/calls")
    causes = page.browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "const root = document.querySelector('script[type=module]').src;"
        "import(new URL('views/call/why.js', root)).then(({causeOf}) => done(arguments[0].map(causeOf)))",
        calls,
    )
    assert causes == [*REFUSAL_BY_CODE.values(), *REFUSAL_BY_SIP_STATUS.values()]


def test_a_viewer_sees_no_whole_number_and_ends_no_call(open_page: OpenPage) -> None:
    page = open_page("viewer")
    page.api.post("/api/account/account_events", {"event": "hold"})
    alert(page, ANSWERS)
    (call,) = wait_until(lambda: page.api.get("/api/phone_calls").json)
    page.go(f"#/calls/{call['id']}")
    page.wait_for_text("Waits for its turn.")
    assert "End this call" not in page.text("#content")
    assert ANSWERS not in page.browser.page_source


def test_the_search_is_that_of_the_address(page: Page) -> None:
    page.go("#/calls?status=busy")
    page.wait(lambda: page.field("Status").get_attribute("value") == "busy")
    page.browser.execute_script("location.hash = '#/calls'")
    page.wait(lambda: page.field("Status").get_attribute("value") == "")

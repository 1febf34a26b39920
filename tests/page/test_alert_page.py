"""The page of an alert: it is watched to its end, and shows whom it has not reached."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from selenium.webdriver.common.keys import Keys

from tests.page.alert_view import (
    actions,
    figures,
    listed,
    look_at,
    press,
    shows_figures,
    wait_for_phase,
)
from tests.page.alerts import (
    ACKNOWLEDGES,
    BUSY,
    BUSY_ONCE,
    LISTENS,
    LONG,
    OUTCOMES,
    RINGS_LONG,
    SILENT,
    add_people,
    await_people,
    make_alert,
    send_event,
)
from tests.page.browsing import Page
from tests.server import Server

# The answer to what asks for people is there when window.held() is called.
HOLD_LISTS = """const sent = window.fetch;
window.fetch = async (address, given) => {
  const answer = await sent(address, given);
  if (String(address).includes("callout_participations")) await new Promise((resolve) => { window.held = resolve; });
  return answer;
};"""


@pytest.fixture(scope="module")
def server(alert_server: Server) -> Server:
    """People answer as the scenario says."""
    return alert_server


def test_an_alert_is_started_and_watched_to_its_end(page: Page) -> None:
    add_people(page.api, ACKNOWLEDGES, ACKNOWLEDGES, LISTENS, BUSY_ONCE)
    missed = add_people(page.api, BUSY, SILENT, district="Stung Treng")
    callout_id = make_alert(page.api)
    page.go(f"#/alerts/{callout_id}")
    page.wait_for_text("Not started · 6 people to call · done about")
    assert page.button("Change").get_attribute("href").endswith(f"#/alerts/new?id={callout_id}")

    press(page, "start")
    assert "6 people are called, by 12 calls at most." in page.text("dialog")
    page.click("Start")
    wait_for_phase(page, "completed")
    page.wait(lambda: shows_figures(page, callout_id))
    page.wait_for_text("Completed · 4 of 6 reached · 2 not reached · ended ", ".alert-sentence")
    assert page.text(".alert-sentence").endswith(")"), "the zone is named"
    people = figures(page)
    assert sum(people[outcome] for outcome in OUTCOMES) == people["total"] == 6
    assert page.text(".alert-link").startswith("Final figures · ")

    # The district with the most unreached comes first.
    look_at(page, ".groups")
    page.wait(lambda: [one.text for one in page.all(".groups tbody th")] == ["Stung Treng", "Kratie"])
    look_at(page, ".reasons")
    page.wait(lambda: {row[0] for row in listed(page)} == set(missed))
    assert {row[3] for row in listed(page)} == {"Busy", "No answer"}
    page.check_harmless()


def test_the_unreached_are_found_by_reason_number_and_name_and_given_as_a_file(page: Page) -> None:
    busy, silent = add_people(page.api, BUSY, SILENT), add_people(page.api, SILENT, SILENT)
    callout_id = make_alert(page.api, retry={"max_attempts": 1})
    send_event(page.api, callout_id, "start")
    await_people(page.api, callout_id, unreached=4)
    page.go(f"#/alerts/{callout_id}")
    page.wait(lambda: {row[0] for row in listed(page)} == {*busy, *silent})

    page.wait_for("[data-reason=busy]").click()
    page.wait(lambda: [row[0] for row in listed(page)] == busy[:1])
    page.wait_for("[data-reason='']").click()
    page.fill("Search", silent[0].replace("+855", "+855 "))
    page.click("Search")
    page.wait(lambda: [row[0] for row in listed(page)] == silent[:1])
    offered = "return [...document.querySelectorAll('#people-values option')].map((one) => one.value)"
    page.wait(lambda: f"Sok {silent[1][-6:]}" in page.browser.execute_script(offered))
    page.fill("Search", f"Sok {silent[1][-6:]}")
    page.click("Search")
    page.wait(lambda: [row[0] for row in listed(page)] == silent[1:])
    page.choose("Search in", "district")
    page.fill("Search", "Kratie")
    page.click("Search")
    page.wait(lambda: len(listed(page)) == 4)
    page.choose("Search in", "Number or name")

    page.wait_for("[data-reason=not_answered]").click()
    page.field("Search").send_keys(Keys.CONTROL, "a", Keys.DELETE)
    page.click("Search")
    page.wait(lambda: len(listed(page)) == 3)
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "CSV").decode("utf-8-sig"))))
    assert {(row["msisdn"], row["outcome_reason"]) for row in rows} == {
        (number, "not_answered") for number in (busy[1], *silent)
    }
    assert downloaded(page, "XLSX").startswith(b"PK")


def test_people_of_one_outcome_are_never_shown_as_those_of_another(page: Page) -> None:
    add_people(page.api, ACKNOWLEDGES, BUSY, BUSY)
    callout_id = make_alert(page.api, retry={"max_attempts": 1})
    send_event(page.api, callout_id, "start")
    await_people(page.api, callout_id, unreached=2, acknowledged=1)
    page.go(f"#/alerts/{callout_id}")
    page.wait(lambda: len(listed(page)) == 2)
    assert "call-again" in actions(page)
    page.browser.execute_script(HOLD_LISTS)
    page.choose("Outcome", "Confirmed")
    page.wait(lambda: page.browser.execute_script("return window.held !== undefined"))
    assert listed(page) == []
    assert "call-again" not in actions(page)
    page.browser.execute_script("window.held()")
    page.wait(lambda: len(listed(page)) == 1)


# What waits for five seconds or longer never happens.
NOTHING_LATER = """const later = window.setTimeout;
window.setTimeout = (action, milliseconds) => (milliseconds >= 5000 ? 0 : later(action, milliseconds));"""


def test_the_list_agrees_with_the_figures_as_soon_as_it_is_over(page: Page) -> None:
    add_people(page.api, BUSY, BUSY, BUSY)
    callout_id = make_alert(page.api, retry={"max_attempts": 1})
    page.go(f"#/alerts/{callout_id}")
    page.wait_for_text("Not started")
    page.browser.execute_script(NOTHING_LATER)
    send_event(page.api, callout_id, "start")
    wait_for_phase(page, "completed")
    look_at(page, ".reasons")
    page.wait(lambda: len(listed(page)) == 3)
    page.button("Call these 3 again")


def downloaded(page: Page, name: str) -> bytes:
    """The file behind the link NAME."""
    link = page.button(name).get_attribute("href")
    found: list[int] = page.browser.execute_async_script(
        "const done = arguments[1]; fetch(arguments[0]).then((answer) => answer.arrayBuffer())"
        ".then((bytes) => done([...new Uint8Array(bytes)]))",
        link,
    )
    return bytes(found)


def test_those_who_were_not_reached_are_called_again_by_an_alert_of_their_own(page: Page) -> None:
    add_people(page.api, ACKNOWLEDGES, BUSY_ONCE, BUSY_ONCE)
    callout_id = make_alert(page.api, {"name": "Flood"}, retry={"max_attempts": 1})
    send_event(page.api, callout_id, "start")
    await_people(page.api, callout_id, unreached=2, acknowledged=1)
    page.go(f"#/alerts/{callout_id}")

    page.click("Call these 2 again")
    assert "It calls nobody until you start it." in page.text("dialog")
    assert page.field("Name of the new alert").get_attribute("value") == "Flood, again"
    page.click("Make the new alert")
    page.wait_for_text("Not started · 2 people to call")
    assert page.browser.current_url.endswith(f"#/alerts/{callout_id + 1}")
    assert page.text("h1") == "Flood, again"
    assert page.text(".alert-number") == f"Alert {callout_id + 1}"
    page.wait_for_text(f"Those of alert {callout_id}: Not reached", ".pairs")
    press(page, "start")
    page.click("Start")
    wait_for_phase(page, "completed")
    page.wait(lambda: figures(page)["reached"] == 2)


def test_a_drill_has_another_address_word_and_colour(page: Page) -> None:
    add_people(page.api, ACKNOWLEDGES)
    drill, alert = make_alert(page.api, {"drill": True}), make_alert(page.api)
    page.go(f"#/alerts/{drill}")
    page.wait(lambda: page.browser.current_url.endswith(f"#/drills/{drill}"))
    page.wait_for("article.drill .drill-word")
    assert page.text("h1").endswith(f"Drill {drill}")
    page.go(f"#/drills/{alert}")
    page.wait(lambda: page.browser.current_url.endswith(f"#/alerts/{alert}"))
    page.wait(lambda: page.text("h1") == f"Alert {alert}" and not page.all(".drill"))


def test_a_viewer_sees_all_but_full_numbers_and_can_do_nothing(open_page: Callable[..., Page]) -> None:
    page = open_page("viewer")
    (number,) = add_people(page.api, BUSY)
    callout_id = make_alert(page.api, retry={"max_attempts": 1})
    send_event(page.api, callout_id, "start")
    await_people(page.api, callout_id, unreached=1)
    page.go(f"#/alerts/{callout_id}")
    page.wait(lambda: listed(page))
    assert actions(page) == set()
    assert listed(page)[0][0].endswith(number[-3:]) and number not in page.browser.page_source


def test_an_alert_that_there_is_not_says_so(page: Page) -> None:
    page.go("#/alerts/999999")
    page.wait_for(".notice.error")


def test_a_screen_reader_is_told_a_sentence_and_not_each_figure(page: Page) -> None:
    add_people(page.api, *[ACKNOWLEDGES, LISTENS] * 20)
    callout_id = make_alert(page.api, calls_per_second=10)
    page.go(f"#/alerts/{callout_id}")
    page.wait_for("[aria-live]")
    page.wait_for_text("Not started · 40 people")
    page.browser.execute_script(
        "window.told = []; window.shown = 0;"
        "const all = {childList: true, characterData: true, subtree: true};"
        "new MutationObserver(() => window.told.push(document.querySelector('[aria-live]').textContent))"
        ".observe(document.querySelector('[aria-live]'), all);"
        "new MutationObserver(() => window.shown++).observe(document.querySelector('.alert-sentence'), all);"
    )
    send_event(page.api, callout_id, "start")
    wait_for_phase(page, "completed")
    told, shown = page.browser.execute_script("return [window.told.filter(Boolean), window.shown]")
    assert told[-1].startswith("Completed · 40 of 40 reached")
    assert len(told) <= 4 < shown, told


LONG_PLAN = {"retry": {"max_attempts": 1}, "remote_request_params": LONG}


def test_everything_can_be_read_by_all_in_any_size_and_light(page: Page) -> None:
    add_people(page.api, *[ACKNOWLEDGES] * 4, LISTENS, BUSY, district="Kratie")
    add_people(page.api, *[BUSY] * 3, LISTENS, RINGS_LONG, district="Stung Treng")
    callout_id = make_alert(page.api, {"drill": True, "title": "Flood of the Sekong"}, **LONG_PLAN)
    page.go(f"#/drills/{callout_id}")
    page.wait_for_text("Not started")
    page.check_view("drill-not-started")
    send_event(page.api, callout_id, "start")
    await_people(page.api, callout_id, calling=1, unreached=4)
    look_at(page, ".groups")
    page.wait(lambda: shows_figures(page, callout_id) and len(page.all(".groups tbody tr")) == 2)
    look_at(page, ".reasons")
    page.wait(lambda: len(listed(page)) == 4)
    press(page, "stop")
    page.check_accessible()
    page.picture("drill-stop")
    page.click("Cancel")
    page.check_view("drill", ("km", "fr", "en"))

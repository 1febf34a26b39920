"""Making an alert: who, what they hear, when, how often; a preflight beside it, and two steps to the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.page.browsing import HOSTILE, Page
from tests.page.drafts import NUMBERS, begin, contacts, draft_of
from tests.page.spreadsheets import DISTRICT_SIZE, give, village_list
from tests.resources.conftest import make
from tests.server import wait_until
from tests.sounds import sound, tone, upload

OpenPage = Callable[..., Page]
# Two for each choice in a list, which is opened first.
COUNT_CLICKS = """window.clicks = 0;
addEventListener("click", (event) => { if (event.isTrusted) window.clicks += 1; }, true);
addEventListener("change", (event) => { if (event.target.matches("select")) window.clicks += 2; }, true);"""


def test_from_a_spreadsheet_to_the_alert_by_page_alone(page: Page, tmp_path: Path) -> None:
    page.browser.execute_script(COUNT_CLICKS)
    page.click("New alert")
    page.click("Import contacts")
    give(page, village_list(tmp_path / "Mekong.xlsx"))
    page.click("Import 1,960 people")
    page.click("Make an alert for these")
    page.wait_for_text("1,960 people fit")
    page.choose("And only those who have", "district (1,960)")
    page.choose("district", f"Kratie ({DISTRICT_SIZE})")
    page.wait_for_text(f"{DISTRICT_SIZE} people fit")
    page.click("Record now")
    page.wait_for_text("2 sec", "[role=timer]")
    page.click("Stop recording")
    page.click("Use this recording")
    page.fill("Number that calls", "1294")
    page.choose("Calls to a person", "up to 2 calls")
    page.fill("Minutes after call 1", "0.02")
    page.click("Start the alert …")
    page.wait_for_text(f"Call {DISTRICT_SIZE} people?", "dialog")
    assert f"at most {2 * DISTRICT_SIZE} calls" in page.text("dialog")
    page.check_accessible()
    page.click(f"Yes, call {DISTRICT_SIZE} people")
    page.wait(lambda: "#/alerts/" in page.browser.current_url and "new" not in page.browser.current_url)
    assert page.browser.execute_script("return window.clicks") <= 15
    callout = page.api.get("/api/callouts").json[-1]
    assert callout["plan"]["retry"]["max_attempts"] == 2
    wait_until(lambda: page.api.get(f"/api/callouts/{callout['id']}").json["status"] == "completed", 60)
    people = page.api.get(f"/api/callouts/{callout['id']}/statistics").json["people"]
    assert people["total"] == DISTRICT_SIZE
    assert people["reached"] + people["acknowledged"] > 0
    assert people["unreached"] > 0
    unreached = page.wait(lambda: page.button("CSV").get_attribute("href"))
    fetched = "const done = arguments[1]; fetch(arguments[0]).then((answer) => answer.text()).then(done)"
    rows = page.browser.execute_async_script(fetched, unreached).strip().splitlines()
    assert len(rows) == 1 + people["unreached"] + people["unknown"]
    (recording,) = page.api.get("/api/audio_files").json
    assert recording["seconds"] >= 1
    assert callout["metadata"]["audio"] == recording["name"]


def test_a_filter_is_built_of_values_that_exist_with_a_live_count(page: Page) -> None:
    contacts(
        page.api,
        {"district": "Kratie", "address": {"zone": 1}},
        {"district": "Kratie", "address": {"zone": 2}},
        {"district": "Kampot", "address": {"zone": 2}},
        {},
    )
    begin(page)
    page.wait_for_text("All contacts: 4 people")
    page.choose("Only those who have", "district (3)")
    page.choose("district", "Kratie (2)")
    page.wait_for_text("2 people fit")
    page.choose("And only those who have", "address › zone (3)")
    page.choose("address › zone", "2 (1)")
    page.wait_for_text("1 person fits")
    wanted = {"contact_filter_params": {"metadata": {"district": "Kratie", "address": {"zone": "2"}}}}
    wait_until(lambda: draft_of(page)["plan"]["audience"] == wanted)
    page.click("Remove the condition on address › zone")
    page.click("Remove the condition on district")
    page.choose("Only those who have", "district (3)")
    page.wait_for_text("Choose a value for “district”", ".check-panel")
    assert not page.browser.find_element("xpath", "//button[contains(., 'Start the alert')]").is_enabled()
    page.choose("district", "(no value) (1)")
    page.wait(lambda: "Choose a value" not in page.text(".check-panel"))
    page.wait_for_text("1 person fits")
    wanted = {"contact_filter_params": {"metadata": {"district": None}}}
    wait_until(lambda: draft_of(page)["plan"]["audience"] == wanted)


def test_what_the_plan_comes_to_is_said_beside_it(page: Page) -> None:
    begin(page)
    page.wait_for_text("Nobody is called: no contact fits.", ".check-panel")
    assert not page.browser.find_element("xpath", "//button[contains(., 'Start the alert')]").is_enabled()
    contacts(page.api, {}, {})
    make(page.api, "/api/opt_outs", msisdn=NUMBERS[0])
    page.fill("Name", "Flood")
    page.wait_for_text("do not want calls", ".check-panel")
    page.wait_for_text("There is no number that calls", ".check-panel")
    page.fill("Number that calls", "1294")
    page.wait(lambda: "There is no number that calls" not in page.text(".check-panel"))
    assert page.api.get("/api/phone_calls").json == []
    page.check_view("new-alert", ("en", "fr", "km"))


def test_texts_in_several_languages_are_shown_as_they_are_said(page: Page) -> None:
    contacts(page.api, {"language": "km"}, {"language": "en"})
    begin(page, "Water!")
    page.click("Add another language")
    page.wait(lambda: page.all(".entry input")[1]).send_keys("km")
    page.wait(lambda: page.field("Message (km)")).send_keys("ទឹក!")
    page.wait_for_text("“ទឹក!”", ".said")
    wait_until(lambda: draft_of(page)["metadata"]["message"] == {"default": "Water!", "km": "ទឹក!"})


def test_of_two_messages_in_one_language_the_first_is_kept(page: Page) -> None:
    contacts(page.api, {})
    begin(page, "Water!")
    page.click("Add another language")
    page.wait(lambda: page.all(".entry textarea")[1:])[0].send_keys("Fire!")
    page.wait_for_text("This language is here twice: people hear the first.")
    assert "Fire!" not in page.text(".said")
    page.fill("Name", "Flood")
    wait_until(lambda: draft_of(page)["metadata"] == {"name": "Flood", "message": "Water!"})


def test_an_audio_file_is_chosen_or_uploaded(page: Page, tmp_path: Path) -> None:
    contacts(page.api, {})
    assert upload(page.api, sound(tone(1.0)), name="flood-km").status == 201
    page.go("#/alerts/new")
    page.choose("Audio file", "flood-km (1 sec)")
    wait_until(lambda: draft_of(page)["metadata"]["audio"] == "flood-km")
    wrong = tmp_path / "song.wav"
    wrong.write_bytes(b"no sound at all")
    give(page, wrong)
    page.click("Use this recording")
    page.wait(lambda: page.all(".recording [role=alert]"))
    page.click("Do not use it")
    right = tmp_path / "new-flood.wav"
    right.write_bytes(sound(tone(2.0)))
    give(page, right)
    page.click("Use this recording")
    wait_until(lambda: draft_of(page)["metadata"]["audio"] == "new-flood")


def test_a_flow_is_rehearsed_as_text(page: Page) -> None:
    contacts(page.api, {})
    steps = {"warning": {"say": {"en": "Go to the hill."}, "hang_up": True}}
    definition = {"languages": ["en"], "start": "warning", "steps": steps}
    flow = make(page.api, "/api/call_flows", name="flood", definition=definition)
    assert page.api.post(f"/api/call_flows/{flow}/publish").status == 201
    page.go("#/alerts/new")
    page.field("a call flow with questions").click()
    page.choose("Call flow", "flood")
    page.click("Call")
    page.wait_for_text("Go to the hill.", ".said")
    wait_until(lambda: draft_of(page)["call_flow_logic"] == "flood")
    page.check_accessible()


def test_what_is_wrong_stands_at_its_field(page: Page) -> None:
    contacts(page.api, {})
    begin(page)
    page.field("This is an emergency").click()
    page.wait_for_text("can't be blank", ".stack")
    page.fill("Why", "The dam has broken")
    page.wait(lambda: "can't be blank" not in page.text())
    page.click("Priority and limits")
    page.fill("Calls per second, at most", "0")
    page.wait_for_text("must be greater than 0", ".stack")
    page.check_view("new-alert-errors")


def test_a_drill_is_another_thing(page: Page) -> None:
    contacts(page.api, {})
    begin(page, address="#/drills/new")
    page.wait_for_text("DRILL", "h1")
    page.check_view("new-drill")
    page.fill("Number that calls", "1294")
    page.click("Start the drill …")
    page.wait_for_text("Drill: call 1 person?", "dialog")
    page.click("Yes, call 1 person")
    page.wait(lambda: "#/drills/" in page.browser.current_url and "new" not in page.browser.current_url)
    assert page.api.get("/api/callouts").json[0]["metadata"]["drill"] is True
    # The styles of the form, which are still loaded, are not for the figures of the alert.
    look = "return getComputedStyle(document.querySelector('table.figures')).display"
    page.wait_for("table.figures")
    assert page.browser.execute_script(look) == "table"


def test_nothing_starts_without_the_second_step(page: Page) -> None:
    contacts(page.api, {})
    begin(page)
    page.click("Start the alert …")
    page.click("Cancel")
    draft = draft_of(page)
    assert draft["status"] == "initialized"
    page.go(f"#/alerts/{draft['id']}")
    page.click("Change")
    page.wait(lambda: page.field("Message").get_attribute("value") == "The water is rising.")


def test_where_there_is_no_microphone_a_file_is_chosen(page: Page) -> None:
    source = {"source": "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"}
    added = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    try:
        page.go("#/alerts/new")
        page.browser.refresh()
        page.wait_for_text("This browser cannot record. A file can be chosen.")
        assert not [one for one in page.all("button") if one.text == "Record now"]
    finally:
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_fields_and_values_are_text_whatever_is_in_them(page: Page) -> None:
    contacts(page.api, {HOSTILE: HOSTILE})
    begin(page, HOSTILE)
    page.fill("Name", HOSTILE)
    page.choose("Only those who have", f"{HOSTILE} (1)")
    page.choose(HOSTILE, f"{HOSTILE} (1)")
    page.wait_for_text("1 person fits")
    page.check_harmless()


def test_a_viewer_is_told_which_role_makes_alerts(open_page: OpenPage) -> None:
    page = open_page("viewer")
    for address in ("#/alerts/new", "#/drills/new"):
        page.go(address)
        page.wait_for_text("This takes the role “Operator” or a higher one; yours is “Viewer”.")
        assert not page.all("#content form, #content input")


def test_where_two_must_agree_it_is_sent_for_approval(open_page: OpenPage) -> None:
    page = open_page("operator")
    assert page.api.patch("/api/account", json={"approval_required": True}).status == 204
    contacts(page.api, {})
    begin(page)
    address = page.browser.current_url.partition("#")[2]
    page.click("Send the alert for approval …")
    page.wait_for_text("Send an alert for 1 person for approval?", "dialog")
    assert "Phones ring at once." not in page.text("dialog")
    page.click("Yes, send it for approval")
    page.wait(lambda: "new" not in page.browser.current_url)
    assert page.api.get("/api/callouts").json[0]["approval"]["status"] == "submitted"
    page.go(f"#{address}")
    page.wait_for_text("This alert has been sent for approval.")


def test_what_stands_against_it_is_said_in_the_readers_language(page: Page) -> None:
    plan = {
        "audience": {"contact_filter_params": {"metadata": {"district": "nowhere"}}},
        "not_after": "2020-01-01T00:00:00Z",
        "window": {"time_zone": "UTC", "from": "00:00", "to": "00:01", "days": ["mon"], "except": []},
        "retry": {"max_attempts": 2, "on": ["not_acknowledged"]},
    }
    audio = {"audio": "nothing-such"}
    made = make(page.api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", metadata=audio, plan=plan)
    assert page.api.post("/api/account/account_events", {"event": "hold"}).status == 201
    report = page.api.post(f"/api/callouts/{made}/preflight", json={}).json
    sentences = [*report["blockers"], *report["warnings"]]
    assert len(sentences) >= 6
    page.go(f"#/alerts/new?id={made}")
    page.language("fr")
    page.wait_for_text("Personne n’est appelé", ".check-panel")
    shown = page.text(".check-panel")
    assert not [sentence for sentence in sentences if sentence.lower() in shown.lower()]
    assert "nothing-such" in shown
    page.go(f"#/alerts/{made}")
    page.wait_for_text("Personne n’est appelé", "#content")
    shown = page.text("#content")
    assert not [sentence for sentence in sentences if sentence.lower() in shown.lower()]

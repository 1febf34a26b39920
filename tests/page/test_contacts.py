"""Contacts, and one person's page: found, added, changed, opted out, deleted."""

from __future__ import annotations

from collections.abc import Callable

from selenium.webdriver.common.keys import Keys

from tests.page.browsing import HOSTILE, Page
from tests.page.modules import from_module
from tests.resources.conftest import make
from tests.server import wait_until

OpenPage = Callable[..., Page]
# Of the simulated phones: answers, and presses 1; is busy.
ANSWERS, BUSY = "+15005550010", "+15005550011"


def contact(page: Page, msisdn: str, **metadata: object) -> int:
    return make(page.api, "/api/contacts", msisdn=msisdn, metadata=metadata)


def numbers(page: Page) -> list[str]:
    return [one.text for one in page.all("tbody a.number")]


def called(page: Page, message: str = "The water is rising.") -> int:
    """An alert that has called every contact and is over."""
    plan = {"audience": {}, "remote_request_params": {"from": "1294"}}
    metadata = {"message": message, "title": "Flood in Stung Treng"}
    flow = "CallFlowLogic::Message"
    callout = make(page.api, "/api/callouts", call_flow_logic=flow, metadata=metadata, plan=plan)
    page.api.post(f"/api/callouts/{callout}/callout_events", {"event": "start"})
    wait_until(lambda: page.api.get(f"/api/callouts/{callout}").json["status"] == "completed")
    return callout


def test_a_contact_is_found_by_number_and_by_name(page: Page) -> None:
    contact(page, "+85510300001", name="Sok Dara", district="Thala")
    contact(page, "+85510300002", name="Chan Thy", district="Sesan")
    page.go("#/contacts")
    page.wait(lambda: numbers(page) == ["+85510300001", "+85510300002"])
    page.wait_for_text("2 contacts")
    page.fill("Search for", "+855 10 300 002")
    page.click("Search")
    page.wait(lambda: numbers(page) == ["+85510300002"])
    offered = "return [...document.querySelectorAll('#contact-values option')].map((one) => one.value)"
    page.wait(lambda: sorted(page.browser.execute_script(offered)) == ["Chan Thy", "Sok Dara"])
    page.fill("Search for", "Sok Dara")
    page.click("Search")
    page.wait(lambda: numbers(page) == ["+85510300001"])
    page.browser.refresh()
    page.wait(lambda: numbers(page) == ["+85510300001"])
    page.fill("Search for", "Nobody")
    page.click("Search")
    page.wait_for_text("Nobody fits this search.")
    page.click("Show all")
    page.wait(lambda: len(numbers(page)) == 2)
    page.check_view("contacts")


def test_a_name_is_found_whatever_the_letters_of_its_field(page: Page) -> None:
    contact(page, "+85510300001", Name="Sok Dara")
    page.go("#/contacts?value=Sok+Dara")
    page.wait(lambda: numbers(page) == ["+85510300001"])


def test_a_contact_is_found_by_any_of_its_metadata(page: Page) -> None:
    contact(page, "+85510300001", name="Sok Dara", address={"village": "Ban Mai"})
    contact(page, "+85510300002", name="Chan Thy", address={"village": "Ban Khun"})
    page.go("#/contacts")
    page.choose("Search in", "address › village")
    offered = "return [...document.querySelectorAll('#contact-values option')].map((one) => one.value)"
    page.wait(lambda: sorted(page.browser.execute_script(offered)) == ["Ban Khun", "Ban Mai"])
    page.fill("Search for", "Ban Khun")
    page.click("Search")
    page.wait(lambda: numbers(page) == ["+85510300002"])


def test_a_contact_is_added_with_metadata_and_its_page_comes(page: Page) -> None:
    page.go("#/contacts")
    page.wait_for_text("There are no contacts yet.")
    page.click("Add a contact")
    page.fill("Phone number", "12")
    page.fill("Value", "Sok Dara")
    page.click("Save")
    page.wait_for_text("is an invalid number")
    page.check_accessible()
    page.fill("Phone number", "+85510300001")
    page.click("Save")
    page.wait_for_text("Sok Dara", "h1")
    (stored,) = page.api.get("/api/contacts").json
    assert (stored["msisdn"], stored["metadata"]) == ("+85510300001", {"name": "Sok Dara"})


def test_what_the_server_says_is_in_the_readers_language_or_marked_as_english(page: Page) -> None:
    page.go("#/contacts")
    page.language("fr")
    page.click("Ajouter un contact")
    page.fill("Numéro de téléphone", "12")
    page.click("Enregistrer")
    page.wait_for_text("n’est pas un numéro valable", "dialog")
    page.wait_for_text("un numéro de téléphone avec l’indicatif du pays", "dialog")
    said = [
        from_module(page, "lib/text.js", "module.message(given)", one)
        for one in ("/retry/max_attempts: must be at most 10", "is longer than 2097152 bytes")
    ]
    assert said == ["/retry/max_attempts: doit être au plus 10", "is longer than 2097152 bytes"]
    page.go("#/settings")
    page.fill("Numéros avec lesquels les scénarios peuvent mettre en relation", "nowhere")
    page.all("#content section")[2].find_element("css selector", "button[type=submit]").click()
    page.wait(lambda: [one.text for one in page.all(".error [lang=en]")] == ["nowhere is an invalid number"])


def test_a_change_touches_nothing_but_what_was_changed(page: Page) -> None:
    metadata = {"name": "Sok Dara", "age": 41, "tags": ["boat", "radio"], "district": "Thala"}
    contact_id = contact(page, "+85510300001", **metadata)
    page.go(f"#/contacts/{contact_id}")
    page.wait_for_text("Sok Dara", "h1")
    page.click("Change")
    page.wait(lambda: len(page.all("dialog .row")) == 4)
    # Somebody else changes another field meanwhile.
    page.api.patch(f"/api/contacts/{contact_id}", json={"metadata": {"district": "Sesan"}})
    values = page.all("dialog .row .field:nth-child(2) input")
    assert [one.get_attribute("value") for one in values] == ["Sok Dara", "41", '["boat","radio"]', "Thala"]
    values[0].clear()
    values[0].send_keys("Sok Vanna")
    values[2].send_keys("]")
    page.click("Save")
    page.wait_for_text("A list or an object is written as JSON: this is none.")
    values[2].send_keys(Keys.BACKSPACE)
    page.click("Save")
    page.wait_for_text("Sok Vanna", "h1")
    expected = {**metadata, "name": "Sok Vanna", "district": "Sesan"}
    assert page.api.get(f"/api/contacts/{contact_id}").json["metadata"] == expected
    page.click("Change")
    page.click("Remove the field tags")
    page.click("Save")
    page.wait(lambda: "tags" not in page.api.get(f"/api/contacts/{contact_id}").json["metadata"])


def test_a_number_is_opted_out_and_in_again(page: Page) -> None:
    contact_id = contact(page, "+85510300001", name="Sok Dara")
    page.go(f"#/contacts/{contact_id}")
    page.wait_for_text("Yes. This number is called by alerts.")
    page.click("Do not call this number")
    page.fill("Reason (may be empty)", "asked for it")
    page.click("Do not call this number")
    page.wait_for_text("The reason: asked for it")
    assert [one["msisdn"] for one in page.api.get("/api/opt_outs").json] == ["+85510300001"]
    page.click_and_confirm("Call this number again")
    page.wait_for_text("Yes. This number is called by alerts.")
    assert page.api.get("/api/opt_outs").json == []


def test_a_person_s_page_tells_all_that_has_happened(page: Page) -> None:
    busy = contact(page, BUSY, name="Chan Thy")
    answers = contact(page, ANSWERS, name="Sok Dara")
    called(page)
    page.go(f"#/contacts/{busy}")
    page.wait_for_text("Flood in Stung Treng")
    page.wait_for_text("Not reached")
    page.wait_for_text("The line was busy.")
    page.wait_for_text("CallStatus busy")
    page.go(f"#/contacts/{answers}")
    page.wait_for_text("Confirmed")
    page.check_view("person")
    page.click_and_confirm("Delete")
    page.wait_for_text("Cannot delete record because dependent callout participations exist")


def test_a_contact_that_was_never_called_is_deleted(page: Page) -> None:
    contact_id = contact(page, "+85510300001", name="Sok Dara")
    page.go(f"#/contacts/{contact_id}")
    page.click("Delete")
    page.wait_for_text("Delete Sok Dara?")
    page.click("Cancel")
    assert page.api.get(f"/api/contacts/{contact_id}").status == 200
    page.click_and_confirm("Delete")
    page.wait_for_text("There are no contacts yet.")


def test_a_viewer_sees_masked_numbers_and_changes_nothing(open_page: OpenPage) -> None:
    page = open_page("viewer")
    contact_id = contact(page, "+85510300001", name="Sok Dara")
    page.go("#/contacts")
    page.wait(lambda: numbers(page) == ["+••••••••001"])
    assert not [name for name in ("Add a contact", "Import") if name in page.text("#content")]
    page.go(f"#/contacts/{contact_id}")
    page.wait_for_text("Your role does not show whole numbers")
    assert "10300" not in page.browser.page_source
    assert [one.text for one in page.all("#content button")] == []


def test_what_strangers_write_is_shown_as_text(page: Page) -> None:
    contact_id = contact(page, ANSWERS, name=HOSTILE, **{HOSTILE: HOSTILE})
    called(page, HOSTILE)
    make(page.api, "/api/opt_outs", msisdn=ANSWERS, reason=HOSTILE)
    page.go("#/contacts")
    page.wait_for_text(HOSTILE, "tbody")
    page.go(f"#/contacts/{contact_id}")
    page.wait_for_text(HOSTILE, "h1")
    page.wait_for_text(f"The reason: {HOSTILE}")
    page.click("Change")
    page.check_harmless()

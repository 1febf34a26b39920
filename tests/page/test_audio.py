"""Audio files in the page: recorded here and by phone, sent, listened to, renamed, guarded, deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.page.browsing import HOSTILE, Page
from tests.resources.conftest import make
from tests.server import wait_until
from tests.sounds import sound, upload

OpenPage = Callable[..., Page]
# Of the simulated phones: answers, speaks for four seconds, and presses 1.
SPEAKER = "+15005550010"


def names(page: Page) -> list[str]:
    return [one.text for one in page.all("tbody th")]


def stored(page: Page) -> list[str]:
    return [str(one["name"]) for one in page.api.get("/api/audio_files").json]


def test_a_sentence_is_recorded_here_and_listened_to(page: Page) -> None:
    page.go("#/audio")
    page.wait_for_text("There is no recording yet.")
    page.click("Add a recording")
    page.click("Record here")
    page.wait_for_text("Speak now.")
    page.wait(lambda: float(page.wait_for("meter").get_attribute("value") or 0) > 0)
    page.click("Stop recording")
    page.wait_for_text("Listen to it.")
    page.check_accessible()
    page.fill("Name", "flood-km")
    page.fill("Language", "km")
    page.click("Add")
    page.wait(lambda: names(page) == ["flood-km"])
    (file,) = page.api.get("/api/audio_files").json
    assert (file["content_type"], file["language"]) == ("audio/wav", "km")
    assert file["seconds"] > 0
    page.browser.execute_script("document.querySelector('tbody audio').load()")
    seconds = "return document.querySelector('tbody audio').duration"
    page.wait(lambda: (page.browser.execute_script(seconds) or 0) > 0)
    page.check_view("audio")


def test_a_file_is_sent_after_another_tab_has_signed_in_anew(page: Page, tmp_path: Path) -> None:
    wav = tmp_path / "all-clear.wav"
    wav.write_bytes(sound())
    page.go("#/audio")
    page.click("Add a recording")
    page.field("Or a file of this device").send_keys(str(wav))
    page.wait(lambda: page.field("Name").get_attribute("value") == "all-clear")
    page.sign_in_as("admin")
    page.click("Add")
    page.wait(lambda: names(page) == ["all-clear"])


def test_a_file_is_sent_and_what_is_wrong_with_one_is_said(page: Page, tmp_path: Path) -> None:
    text, wav = tmp_path / "notes.wav", tmp_path / "all-clear.wav"
    text.write_text("no sound at all")
    wav.write_bytes(sound())
    page.go("#/audio")
    page.click("Add a recording")
    page.field("Or a file of this device").send_keys(str(text))
    page.wait(lambda: page.field("Name").get_attribute("value") == "notes")
    page.click("Add")
    page.wait_for_text("is a text, not a sound", "dialog")
    page.field("Or a file of this device").send_keys(str(wav))
    page.fill("Name", "all-clear")
    page.click("Add")
    page.wait(lambda: names(page) == ["all-clear"])


def test_somebody_speaks_it_by_phone(page: Page) -> None:
    page.go("#/audio")
    page.click("Record by phone")
    page.fill("Number of the one who speaks", SPEAKER)
    page.fill("Number that calls", "1294")
    page.fill("Name", "spoken")
    page.check_accessible()
    page.click("Call now")
    page.wait_for_text("The recording spoken is there.")
    page.click("Close")
    page.wait(lambda: names(page) == ["spoken"])


def test_what_is_used_is_neither_deleted_nor_renamed(page: Page) -> None:
    upload(page.api, sound(), name="flood-km", language="km")
    plays = {"languages": ["km"], "start": "a", "steps": {"a": {"play": {"km": "audio:flood-km"}, "hang_up": True}}}
    flow = make(page.api, "/api/call_flows", name="flood", definition=plays)
    page.api.post(f"/api/call_flows/{flow}/publish")
    message = {"audio": {"km": "flood-km"}, "title": "Flood in Stung Treng"}
    make(page.api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", metadata=message)
    page.go("#/audio")
    page.click("Where used")
    page.wait_for_text("Flood in Stung Treng", "dialog")
    assert "flood" in page.text("dialog")
    page.check_accessible()
    page.click("Close")
    page.click_and_confirm("Delete")
    page.wait_for_text("may still play it", "dialog")
    page.click("Cancel")
    page.click("Change")
    page.fill("Name", "flood")
    page.click("Save")
    page.wait_for_text("may still play it", "dialog")
    page.fill("Name", "flood-km")
    page.fill("Language", "km-KH")
    page.click("Save")
    page.wait_for_text("km-KH", "tbody")
    assert stored(page) == ["flood-km"]


def test_an_unused_file_is_deleted(page: Page) -> None:
    upload(page.api, sound(), name="flood-km")
    page.go("#/audio")
    page.click("Where used")
    page.wait_for_text("Nothing plays it.")
    page.click("Close")
    page.click_and_confirm("Delete")
    wait_until(lambda: stored(page) == [])
    page.wait_for_text("There is no recording yet.")


def test_a_viewer_listens_and_changes_nothing(open_page: OpenPage) -> None:
    page = open_page("viewer")
    upload(page.api, sound(), name="flood-km")
    page.go("#/audio")
    page.wait(lambda: names(page) == ["flood-km"])
    assert {one.text for one in page.all("#content button, #content a")} == {"Where used", "Original"}


def test_names_and_refusals_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    name = HOSTILE[:100]
    assert upload(page.api, sound(), name=name).status == 201
    page.go("#/audio")
    page.wait(lambda: names(page) == [name])
    page.click("Add a recording")
    file = tmp_path / "<img src=x onerror=alert(1)>.wav"
    file.write_text(json.dumps(HOSTILE))
    page.field("Or a file of this device").send_keys(str(file))
    page.click("Add")
    page.wait_for_text("not a sound", "dialog")
    page.check_harmless()

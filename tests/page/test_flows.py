"""Call flows in the page: made from an example, mended where they are wrong, rehearsed, published, rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scfm.cli.flow.yaml_reader import read_yaml
from tests.page.browsing import HOSTILE, Page
from tests.resources.conftest import make

OpenPage = Callable[..., Page]
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "scfm" / "page" / "views" / "flows"
DEFINITION = {
    "languages": ["en", "km"],
    "start": "warning",
    "steps": {
        "warning": {
            "say": {"en": "Flood in {contact.metadata.district}. Press 1 if you are safe, 2 for help."},
            "menu": {"digits": {"1": "safe", "2": "help"}, "repeat": 2, "timeout": 5, "otherwise": "end"},
        },
        "safe": {
            "say": {"en": "Thank you.", "km": "សូមអរគុណ។"},
            "acknowledge": True,
            "set": {"safe": True},
            "next": "end",
        },
        "help": {"say": {"en": "Speak after the tone."}, "record": {"as": "needs", "max_seconds": 60}, "next": "end"},
        "end": {"hang_up": True},
    },
}


def flow(page: Page, **fields: Any) -> int:
    return make(page.api, "/api/call_flows", **{"name": "flood", "definition": DEFINITION, **fields})


def text_of(page: Page) -> str:
    return str(page.wait_for(".code textarea").get_attribute("value"))


def write(page: Page, text: str) -> None:
    """Put TEXT into the editor, as if it were pasted."""
    page.browser.execute_script(
        "const area = document.querySelector('.code textarea'); area.value = arguments[0];"
        "area.dispatchEvent(new Event('input', {bubbles: true}))",
        text,
    )


def heard(page: Page) -> list[str]:
    return [one.text for one in page.all(".heard .line")]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_the_page_s_examples_are_those_of_the_repository(path: Path) -> None:
    (source,) = (ROOT / "examples").glob(f"{path.stem}.*")
    known, _ = read_yaml(source.read_text())
    assert json.loads(path.read_text()) == known


def test_a_flow_is_made_from_an_example_and_published(page: Page) -> None:
    page.go("#/flows")
    page.wait_for_text("There is no call flow yet.")
    page.click("New call flow")
    page.fill("Name", "flood km")
    page.click("New call flow")
    page.wait_for_text("is invalid", "dialog")
    page.fill("Name", "flood-km")
    page.choose("Begin with", "A warning that asks who is safe")
    page.check_accessible()
    page.click("New call flow")
    page.wait_for_text("flood-km", "h1")
    page.wait_for_text("0 things are wrong")
    page.click("Publish")
    page.wait_for_text("Calls hear version 1.")
    (made,) = page.api.get("/api/call_flows").json
    assert (made["status"], made["version"]) == ("published", 1)
    page.go("#/flows")
    page.wait_for_text("Published")
    page.check_view("flows")


def test_what_is_wrong_is_said_at_its_line(page: Page) -> None:
    flow_id = flow(page)
    page.go(f"#/flows/{flow_id}")
    broken = text_of(page).replace('"2": "help"', '"2": "hlep"')
    line = next(number for number, line in enumerate(broken.split("\n"), 1) if "hlep" in line)
    write(page, broken)
    page.wait_for_text('there is no step "hlep"')
    page.wait_for_text(f"Line {line}", ".findings")
    assert not page.browser.find_element("xpath", "//button[.='Save the draft']").is_enabled()
    page.click(f"Line {line}")
    selected = page.browser.execute_script(
        "const a = document.activeElement; return a.value.slice(a.selectionStart, a.selectionEnd)"
    )
    assert "hlep" in selected
    page.check_view("flow-wrong")
    write(page, broken.replace('"km"\n', '"km",\n', 1))
    page.wait_for_text("is one too many.")
    assert page.api.get(f"/api/call_flows/{flow_id}").json["definition"] == DEFINITION


def test_what_is_not_saved_outlives_a_reload(page: Page) -> None:
    flow_id = flow(page)
    page.go(f"#/flows/{flow_id}")
    write(page, text_of(page).replace("Thank you.", "Many thanks."))
    page.wait_for_text("There are changes that are not saved.")
    page.click("Diagram")
    page.wait_for(".diagram svg")
    page.click("Text")
    page.wait(lambda: "Many thanks." in text_of(page))
    page.wait_for_text("0 things are wrong")
    page.click("Save the draft")
    page.wait(lambda: "not saved" not in page.text("#content"))
    saved = page.api.get(f"/api/call_flows/{flow_id}").json["definition"]
    assert saved["steps"]["safe"]["say"]["en"] == "Many thanks."


def test_of_two_who_edit_a_flow_nobody_overwrites_the_other_unknowingly(page: Page) -> None:
    flow_id = flow(page)
    page.go(f"#/flows/{flow_id}")
    write(page, text_of(page).replace("Thank you.", "Many thanks."))
    page.wait_for_text("0 things are wrong")
    theirs = json.loads(json.dumps(DEFINITION).replace("Thank you.", "Thanks."))
    page.api.patch(f"/api/call_flows/{flow_id}", json={"definition": theirs})
    page.click("Save the draft")
    page.wait_for_text("Somebody else has saved this call flow meanwhile.")
    assert page.api.get(f"/api/call_flows/{flow_id}").json["definition"] == theirs
    page.click("Save the draft")
    page.wait(lambda: "Many thanks." in str(page.api.get(f"/api/call_flows/{flow_id}").json["definition"]))


def test_what_is_not_saved_is_compared_with_what_it_was_made_of(page: Page) -> None:
    flow_id = flow(page)
    page.go(f"#/flows/{flow_id}")
    write(page, text_of(page).replace("Thank you.", "Many thanks."))
    page.wait_for_text("0 things are wrong")
    page.go("#/contacts")
    theirs = json.loads(json.dumps(DEFINITION).replace("Thank you.", "Thanks."))
    page.api.patch(f"/api/call_flows/{flow_id}", json={"definition": theirs})
    page.go(f"#/flows/{flow_id}")
    page.wait(lambda: "Many thanks." in text_of(page))
    page.wait_for_text("0 things are wrong")
    page.click("Save the draft")
    page.wait_for_text("Somebody else has saved this call flow meanwhile.")
    assert page.api.get(f"/api/call_flows/{flow_id}").json["definition"] == theirs


def test_a_rehearsal_speaks_as_text_and_takes_keys(page: Page) -> None:
    make(page.api, "/api/contacts", msisdn="+85510300001", metadata={"district": "Stung Treng"})
    flow_id = flow(page)
    page.go(f"#/flows/{flow_id}?tab=rehearsal")
    page.fill("As for this contact", "+85510300001")
    page.click("Use")
    page.wait_for_text("district: Stung Treng")
    page.click("Call")
    page.wait_for_text("Flood in Stung Treng. Press 1 if you are safe, 2 for help.", ".heard")
    page.click("Do nothing")
    page.wait(lambda: sum("Flood in" in line for line in heard(page)) == 2)
    page.click("2")
    page.wait_for_text("Speak after the tone.", ".heard")
    page.click("Speak for 20 seconds")
    page.wait_for_text("The call is over.")
    assert heard(page)[-3:] == ["Speaks for 20 s", heard(page)[-2], "(hangs up)"] and "needs" in heard(page)[-2]
    page.check_view("flow-rehearsal")
    page.choose("Language of the person", "Khmer (km)")
    page.click("Call again")
    page.click("1")
    page.wait_for_text("សូមអរគុណ។", ".heard")
    page.wait_for_text("Has acknowledged", ".result")
    assert page.api.get("/api/phone_calls").json == []


def test_the_diagram_the_languages_and_the_way_back(page: Page) -> None:
    flow_id = flow(page)
    page.api.post(f"/api/call_flows/{flow_id}/publish")
    changed = json.loads(json.dumps(DEFINITION).replace("Thank you.", "Many thanks."))
    page.api.patch(f"/api/call_flows/{flow_id}", json={"definition": changed})
    page.api.post(f"/api/call_flows/{flow_id}/publish")
    page.go(f"#/flows/{flow_id}?tab=diagram")
    page.wait_for(".diagram svg")
    drawn = page.browser.execute_script(
        "return [...document.querySelectorAll('.diagram .step-name')].map((one) => one.textContent)"
    )
    assert set(drawn) >= {"start", "warning", "safe", "help", "end"}
    page.check_view("flow-diagram")
    page.click("Languages")
    page.wait_for_text("Khmer (km): 1 of 3 prompts")
    page.check_view("flow-languages")
    page.click("Versions")
    page.wait(lambda: len(page.all("tbody tr")) == 2)
    page.click_and_confirm("Go back to this")
    page.wait_for_text("Calls hear version 3.")
    newest = page.api.get(f"/api/call_flows/{flow_id}/versions").json[0]
    assert newest["definition"] == DEFINITION
    page.check_view("flow-versions")


def test_a_viewer_rehearses_and_changes_nothing(open_page: OpenPage) -> None:
    page = open_page("viewer")
    flow_id = flow(page)
    page.go("#/flows")
    page.wait_for_text("flood")
    assert "New call flow" not in page.text("#content")
    page.go(f"#/flows/{flow_id}")
    assert page.wait_for(".code textarea").get_attribute("readonly")
    assert not {"Publish", "Save the draft", "Delete"} & {one.text for one in page.all("#content button")}
    page.click("Rehearsal")
    page.click("Call")
    page.wait_for_text("Press 1 if you are safe", ".heard")


def test_what_a_definition_says_is_shown_as_text(page: Page) -> None:
    hostile = HOSTILE.replace("{7*7}", "{{7*7}}").replace("{{{{", "{{").replace("}}}}", "}}")
    steps = {"warning": {"say": {"en": hostile.replace("{", "{{")}, "hang_up": True}}
    flow_id = flow(page, definition={"languages": ["en"], "start": "warning", "steps": steps})
    for tab in ("text", "rehearsal", "diagram", "languages", "versions"):
        page.go(f"#/flows/{flow_id}?tab={tab}")
        if tab == "rehearsal":
            page.click("Call")
            page.wait_for_text("onerror", ".heard")
        page.check_harmless()
    write_into = {"languages": ["en"], "start": HOSTILE, "steps": steps}
    page.go(f"#/flows/{flow_id}?tab=text")
    write(page, json.dumps(write_into))
    page.wait_for_text("onerror", ".findings")
    page.check_harmless()

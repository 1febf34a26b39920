"""Pictures of the control room for those who read about it: ``python -m tests.page.pictures`` (``make pictures``).

A server of its own calls simulated phones, from an empty database on; people and numbers are invented (555-0100 to
555-0199 belong to nobody: https://nationalnanpa.com/number_resource_info/555_numbers.html).
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image

from tests.page.alert_view import figures, look_at, press, wait_for_phase
from tests.page.alerts import send_event
from tests.page.browsing import PASSWORD, Page, People
from tests.page.chromium import chromium
from tests.page.spreadsheets import give, workbook
from tests.resources.conftest import make
from tests.server import Client, Server

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
MAX_BYTES = 120_000
WIDE, PHONE = (1440, 900), (390, 844)
SPEED = {"calls_per_second": 8}
AREAS = (201, 202, 203, 205)
FAMILIES = ("Sok", "Chan", "Keo", "Chea", "Meas", "Nhem", "Pov", "Ros", "Sam", "Tep", "Ung", "Vong")
GIVEN = ("Dara", "Bopha", "Sophea", "Vanna", "Thy", "Rith", "Kunthea", "Makara", "Nary", "Phirun")
DISTRICTS = ("Sesan", "Siem Bouk", "Siem Pang", "Stung Treng", "Thala Barivat")
BAD_LINES = ("n/a", "12", "no phone", "see above", "???", "555", "unknown", "0")
FLOOD = "Flood, lower Sekong"
MESSAGE = "The river rises fast. Go to the school on the hill now, and take water and medicine with you."


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the control room.")
    parser.add_argument("--folder", type=Path, default=PICTURES)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        Server(Path(temporary) / "data", {"PLATFORM_PROVIDER": "simulator", "SWEEP_SECONDS": "0.2"}) as server,
        chromium() as browser,
    ):
        api = server.new_account(name="Provincial committee", **SPEED)
        page = Page(browser, server.url, People(api, {"admin": admin(api)}), folder)
        Studio(page, folder).take_all(Path(temporary))
        page.end()


def admin(api: Client) -> str:
    """The email of a user who may everything."""
    email = "sophea@example.org"
    make(api, "/api/users", email=email, password=PASSWORD, role="admin")
    return email


class Studio:
    """Does what an officer does, and takes pictures of it."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder = page, folder

    def take_all(self, temporary: Path) -> None:
        """The pictures, in the order of the work."""
        self.sign_in()
        self.import_people(temporary)
        flood = self.make_alert()
        self.run_alert(flood)
        self.drill()
        self.flow()
        self.histories(flood)

    def sign_in(self) -> None:
        page = self.page
        page.begin(None)
        page.wait(lambda: page.wait_for("#sign-in-button").is_enabled())
        page.click("ខ្មែរ")
        page.wait_for_text("ចូលប្រើ", "#sign-in-button")
        self.take("sign-in-km", (1000, 640))
        page.begin("admin")

    def import_people(self, temporary: Path) -> None:
        page = self.page
        page.go("#/contacts/import")
        give(page, workbook(temporary / "Lower Sekong 2026.xlsx", village_list()))
        page.wait_for_text("bad lines")
        self.take("import", (1440, 1250))
        page.click("Import 400 people")
        page.wait_for_text("The contacts are imported")

    def make_alert(self) -> int:
        page = self.page
        page.click("Make an alert for these")
        page.wait_for_text("400 people fit")
        page.fill("Name", FLOOD)
        page.fill("Number that calls", "+12025550100")
        page.field("a text read by a voice").click()
        page.fill("Message", MESSAGE)
        page.choose("Calls to a person", "up to 2 calls")
        page.fill("Minutes after call 1", "0.3")
        page.wait_for_text("Saved.", ".check-panel")
        page.wait_for_text("People who are called", ".check-panel")
        self.take("new-alert", (1440, 1250))
        page.click("Start the alert …")
        page.click("Yes, call 400 people")
        page.wait(lambda: "new" not in page.browser.current_url)
        return int(page.browser.current_url.rpartition("/")[2])

    def run_alert(self, callout_id: int) -> None:
        page = self.page
        wait_for_phase(page, "running")
        page.wait(lambda: figures(page).get("acknowledged", 0) > 60)
        look_at(page, ".groups")
        page.wait(lambda: len(page.all(".groups tbody tr")) >= len(DISTRICTS))
        self.take("running", (1440, 1000))
        page.dark(True)
        self.take("running-dark", (1440, 1000))
        page.dark(False)
        wait_for_phase(page, "completed")
        look_at(page, ".reasons")
        page.wait(lambda: len(page.all("table.cards tbody tr")) == min(25, figures(page)["unreached"]))
        press(page, "call-again")
        self.take("unreached", WIDE, top=False)
        page.click("Cancel")

    def drill(self) -> None:
        page, api = self.page, self.page.api
        plan = {"audience": {"contact_filter_params": {"metadata": {"district": "Sesan"}}}}
        metadata = {"name": "Monthly test, Sesan", "message": "This is a drill. Press 1.", "drill": True}
        params = {"remote_request_params": {"from": "+12025550100"}, "acknowledge": True}
        flow = "CallFlowLogic::Message"
        drill = make(api, "/api/callouts", call_flow_logic=flow, metadata=metadata, plan=plan | params)
        send_event(api, drill, "start")
        page.go(f"#/drills/{drill}")
        page.wait(lambda: figures(page).get("acknowledged", 0) > 12)
        self.take("drill-phone", PHONE)
        wait_for_phase(page, "completed")

    def flow(self) -> None:
        page = self.page
        definition = json.loads((ROOT / "scfm" / "page" / "views" / "flows" / "needs-assessment.json").read_text())
        flow = make(page.api, "/api/call_flows", name="needs-assessment", definition=definition)
        assert page.api.post(f"/api/call_flows/{flow}/publish").status == 201
        page.go(f"#/flows/{flow}")
        page.click("Diagram")
        page.wait_for("#content svg")
        self.take("flow", (1440, 1100))

    def histories(self, flood: int) -> None:
        page = self.page
        # Somebody who was reached by the second call.
        found = page.api.get(
            f"/api/callouts/{flood}/callout_participations?q[attempts]=2&q[outcome]=acknowledged,reached"
        )
        page.go(f"#/contacts/{found.json[0]['contact_id']}")
        page.wait(lambda: len(page.all("tbody tr")) >= 3)
        self.take("person", (1440, 1100))
        page.go("#/audit")
        page.wait_for("tbody tr")
        self.take("audit", WIDE)
        page.go("#/alerts")
        page.wait_for_text(FLOOD, "tbody")
        self.take("alerts", (1440, 480))

    def take(self, name: str, size: tuple[int, int], *, top: bool = True) -> None:
        """Keep what a window of this size shows as NAME.png: of the TOP of the page, or of where it stands."""
        self.page.resize(size)
        if top:
            self.page.browser.execute_script("window.scrollTo(0, 0)")
        self.page.wait(lambda: not self.page.all("p.busy"))
        shot = self.page.browser.execute_cdp_cmd("Page.captureScreenshot", {})
        content = small(base64.b64decode(shot["data"]))
        assert len(content) <= MAX_BYTES, (name, len(content))
        (self.folder / f"{name}.png").write_bytes(content)
        self.page.resize(WIDE)
        print(f"{name}.png: {len(content)} bytes")


def village_list() -> list[list[Any]]:
    """The rows of a spreadsheet: 400 people, and lines that are bad."""
    rows: list[list[Any]] = [["Name", "Phone number", "district", "Household"]]
    names = [f"{family} {given}" for family, given in product(FAMILIES, GIVEN)]
    for place, (area, number) in enumerate(product(AREAS, range(100))):
        name, district = names[place % len(names)], DISTRICTS[place % 13 % len(DISTRICTS)]
        rows.append([name, f"+1{area}55501{number:02}", district, 1 + place % 7])
        if place % 50 == 20:
            rows.append([names[place % 89], BAD_LINES[place // 50], district, 2])
    return rows


def small(png: bytes) -> bytes:
    """The same picture with 256 colours."""
    written = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    main()

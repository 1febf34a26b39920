"""Spreadsheets as they are: looked at first, and stored when somebody says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from selenium.webdriver.common.keys import Keys

from tests.page.browsing import HOSTILE, Page
from tests.page.modules import from_module
from tests.page.spreadsheets import give, village_list, workbook
from tests.server import wait_until

OpenPage = Callable[..., Page]
ALICE, BO = "+85510300001", "+85510300002"


def stored(page: Page) -> dict[str, object]:
    return {one["msisdn"]: one["metadata"] for one in page.api.get("/api/contacts?per_page=1000").json}


def test_a_workbook_is_looked_at_and_then_imported(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    page.check_accessible()
    give(page, village_list(tmp_path / "Stung Treng 2026.xlsx"))
    page.wait_for_text("Import 1,960 people")
    assert page.field("Column of the phone number").get_attribute("value") == "Phone number"
    page.wait_for_text("40 bad lines")
    assert "is an invalid number" in page.text()
    assert stored(page) == {}
    page.check_view("import-preview")
    page.click("Import 1,960 people")
    page.wait_for_text("The contacts are imported")
    assert page.api.get("/api/contacts?q[metadata][list]=Stung+Treng+2026").headers["Total"] == "1960"
    page.check_accessible()
    page.click("Make an alert for these")
    page.wait_for_text("1,960 people fit")
    assert page.field("list").get_attribute("value") == "Stung Treng 2026"


def test_a_preview_in_another_language(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    page.language("km")
    rows = [["Name", "Phone", "Age"], ["Alice", ALICE, 30], ["Bo", "12", 31], ["Alice", ALICE, 30]]
    give(page, workbook(tmp_path / "few.xlsx", rows))
    page.wait(lambda: len(page.all("table")) == 3)
    page.check_view("import-preview-km")


def test_the_column_of_the_number_can_be_chosen(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    rows = [["Name", "Phone", "Phone of a neighbour"], ["Alice", ALICE, BO]]
    give(page, workbook(tmp_path / "two.xlsx", rows))
    page.wait_for_text("This is a guess")
    page.choose("Column of the phone number", "Phone of a neighbour")
    page.wait_for_text(BO, "table")
    page.field("Name of this list").send_keys(Keys.CONTROL, "a", Keys.BACKSPACE)
    page.wait(lambda: page.field("Column of the phone number").get_attribute("value") == "Phone of a neighbour")
    page.click("Import 1 person")
    page.wait_for_text("The contacts are imported")
    assert stored(page) == {BO: {"Name": "Alice", "Phone": ALICE}}


def test_a_table_without_numbers_asks_for_their_column(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    path = tmp_path / "none.csv"
    path.write_text("name,age\nAlice,30\n")
    give(page, path)
    page.wait_for_text("No column looks like phone numbers")
    assert not page.browser.find_element("xpath", "//button[contains(., 'Import')]").is_enabled()


# By the encoding of a file: what the page takes it for, "" for what the file itself tells.
ENCODINGS = {"cp1252": "windows-1252", "utf-16": "", "utf-16-le": "utf-16le", "utf-8-sig": "", "utf-8": ""}


def test_odd_encodings_are_read(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    names = "".join(f"{ALICE[:-2]}{place:02d};Zoé;Côte d’Ivoire\r\n" for place in range(40))
    for encoding, charset in ENCODINGS.items():
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(("Téléphone;Prénom;Région\r\n" + names).encode(encoding))
        give(page, path)
        page.wait_for_text(path.name)
        page.wait_for_text("Côte d’Ivoire", "table")
        assert page.field("Encoding of the text").get_attribute("value") == charset
        page.click("Import 40 people")
        page.wait_for_text("The contacts are imported")
        assert stored(page)[f"{ALICE[:-2]}00"] == {"Prénom": "Zoé", "Région": "Côte d’Ivoire", "list": encoding}
        page.click("Import another file")


WRONG_FILES = {
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an old Excel workbook"),
    "scan.pdf": (b"%PDF-1.7 " + b"x" * 600, "is a PDF document"),
    "photo.csv": (b"\x89PNG\r\n\x1a\n" + bytes(600), "is a picture"),
    "broken.xlsx": (b"PK\x03\x04" + b"x" * 600, "file"),
    "empty.csv": (b"", "The file is empty."),
    "twice.csv": (b"Phone,name,name\n+85510300001,a,b\n", "has the column name twice"),
}


def test_wrong_files_are_refused_with_what_to_do(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    for name, (content, said) in WRONG_FILES.items():
        path = tmp_path / name
        path.write_bytes(content)
        give(page, path)
        page.wait_for_text(name)
        page.wait(lambda said=said: said in page.text("[role=alert]"))
    assert stored(page) == {}


def test_numbers_without_their_country_get_it_beside_the_file(open_page: OpenPage, tmp_path: Path) -> None:
    path = tmp_path / "local.csv"
    path.write_text("Phone,name\n012 345 678,Alice\n012 345 679,Bo\n")
    page = open_page("operator")
    page.go("#/contacts/import")
    give(page, path)
    page.wait_for_text("are read if the account has that country. An administrator sets it")
    page.sign_in_as("admin")
    page.browser.refresh()
    page.wait_for("#content h1")
    give(page, path)
    page.fill("Country of numbers without a country code", "kh")
    page.wait_for_text("Cambodia")
    page.check_accessible()
    page.click("Read them as numbers of this country")
    page.wait_for_text("Import 2 people")
    assert "local.csv" in page.text()
    assert "are read if" not in page.text()
    assert page.api.get("/api/account").json["settings"]["default_country"] == "KH"


def test_bad_lines_are_shown_with_what_stands_there_and_saved(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text(f"Phone,name\n{ALICE},Alice\n=1+2,Bo\n")
    page.go("#/contacts/import")
    give(page, path)
    page.wait_for_text("=1+2", "#content section:last-child tbody")
    page.button("Save the bad lines (CSV)")
    errors = [
        {"line": 3, "column": "msisdn", "value": "=1+2", "reason": "is an invalid number"},
        {"line": 4, "column": None, "value": None, "reason": 'a "reason"'},
    ]
    saved = from_module(page, "views/import/bad_lines.js", "module.badLines(given, 'Phone')", errors)
    assert saved.removeprefix("\ufeff").splitlines() == [
        '"Line","Column","What stands there","What is wrong"',
        '"3","Phone","\'=1+2","is an invalid number"',
        '"4","the whole line","","a ""reason"""',
    ]


# A minute is over in a moment, and nothing that is sent arrives.
STANDSTILL = """const later = window.setTimeout;
window.setTimeout = (action, milliseconds) => later(action, milliseconds === 60000 ? 50 : milliseconds);
XMLHttpRequest.prototype.send = () => {};"""


def test_a_file_that_does_not_get_on_is_given_up(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text(f"msisdn,name\n{ALICE},Alice\n")
    page.go("#/contacts/import")
    page.browser.execute_script(STANDSTILL)
    give(page, path)
    page.wait_for_text("The server takes too long to answer.", "[role=alert]")


def test_a_huge_file_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    path = tmp_path / "huge.csv"
    with path.open("wb") as huge:  # a file with a hole takes no room
        huge.write(b"msisdn\n")
        huge.truncate((1 << 30) + 1)
    give(page, path)
    page.wait_for_text("The file is too large: at most 1,024 MiB are taken.")


def test_names_and_cells_are_text_whatever_is_in_them(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    rows = [["Phone", HOSTILE], [ALICE, HOSTILE], [HOSTILE, "x"]]
    give(page, workbook(tmp_path / "<img src=x onerror=alert(1)>.xlsx", rows))
    page.wait_for_text("Import 1 person")
    page.check_harmless()
    page.click("Import 1 person")
    page.wait_for_text("The contacts are imported")
    page.check_harmless()
    page.click("Make an alert for these")
    page.wait_for_text("1 person fits")
    shown = HOSTILE.replace(".", " › ")  # a dot in a column's name leads into an object
    page.choose("And only those who have", f"{shown} (1)")
    page.wait(lambda: page.field(shown))
    page.check_harmless()


def test_a_viewer_imports_nothing(open_page: OpenPage) -> None:
    page = open_page("viewer")
    page.go("#/contacts/import")
    page.wait_for_text("This takes the role “Operator” or a higher one; yours is “Viewer”.")
    page.check_accessible()


def test_an_import_by_keyboard(page: Page, tmp_path: Path) -> None:
    page.go("#/contacts/import")
    path = tmp_path / "one.csv"
    path.write_text(f"msisdn,name\n{ALICE},Alice\n")
    give(page, path)
    page.wait_for_text("Import 1 person")
    page.field("Name of this list").click()
    page.tab_to("Import 1 person")
    page.press(Keys.ENTER)
    wait_until(lambda: len(stored(page)) == 1)

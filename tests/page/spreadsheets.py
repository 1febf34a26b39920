"""Files that people have on their devices: spreadsheets of contacts, and others."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import openpyxl

from tests.page.browsing import Page

# As the simulator has it.
NEVER_ANSWERS = "+15005550012"
ROWS, BAD_ROWS, DISTRICT_SIZE = 2000, 40, 50


def number(place: int) -> str:
    return f"+8551030{place:05d}"


def workbook(path: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("People")
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    path.write_bytes(content.getvalue())
    return path


def village_list(path: Path) -> Path:
    """2,000 rows, of which 40 have no number that could be called; every 40th is of the district Kratie.

    The first person is of it, and is never reached.
    """
    rows: list[list[Any]] = [["No.", "Name", "Phone number", "district"]]
    for place in range(ROWS):
        is_bad = place % (ROWS // BAD_ROWS) == 7
        district = "Kratie" if place % (ROWS // DISTRICT_SIZE) == 0 else "Stung Treng"
        called = "12" if is_bad else number(place) if place else NEVER_ANSWERS
        rows.append([place + 1, f"Person {place}", called, district])
    return workbook(path, rows)


def give(page: Page, path: Path) -> None:
    """Choose a file in the page's one field for files."""
    page.wait(lambda: page.browser.find_element("css selector", "input[type=file]")).send_keys(str(path))

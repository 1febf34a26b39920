"""The figures of an alert's page are those of the database of two seconds ago at most, also after ``kill -9``."""

from __future__ import annotations

from pathlib import Path

from selenium import webdriver

from scfm.embedded_mongod.mongod import PrivateMongod
from tests.page import figures


def test_the_page_shows_what_the_database_has(
    tmp_path: Path, mongod: PrivateMongod, browser: webdriver.Chrome
) -> None:
    alert = figures.Alert(people=150, calls_per_second=25, instants=15, kills=1)
    findings = figures.run(alert, tmp_path, mongod.uri, browser)
    assert not findings.wrong
    assert findings.lost, "a server that is away is told"
    assert len(findings.ages) > 5

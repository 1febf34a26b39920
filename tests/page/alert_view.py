"""The page of an alert as its tests read it, and press what is on it."""

from __future__ import annotations

from selenium.webdriver.common.by import By

from tests.page.alerts import (
    LONG,
    RINGS_LONG,
    add_people,
    await_people,
    make_alert,
    send_event,
    statistics,
)
from tests.page.browsing import Page


def figures(page: Page) -> dict[str, int]:
    """The people by outcome as the page shows them."""
    shown = page.browser.execute_script(
        "return [...document.querySelectorAll('td[data-outcome]')]"
        ".map((cell) => [cell.dataset.outcome, cell.textContent])"
    )
    return {outcome: int(text.replace(",", "")) for outcome, text in shown}


def shows_figures(page: Page, callout_id: int) -> bool:
    """Whether the page shows what the server says."""
    return figures(page) == statistics(page.api, callout_id)["people"]


def phase(page: Page) -> str:
    return str(page.wait_for(".alert-sentence").get_attribute("data-phase"))


def wait_for_phase(page: Page, name: str) -> None:
    page.wait(lambda: phase(page) == name)


def press(page: Page, action: str) -> None:
    """The first step of an action."""
    page.wait_for(f"[data-action={action}]").click()
    page.wait_for("dialog[open]")


def actions(page: Page) -> set[str]:
    return {str(one.get_attribute("data-action")) for one in page.all("[data-action]")}


def look_at(page: Page, selector: str) -> None:
    """Scroll there: what is not looked at is not asked for again."""
    page.browser.execute_script("document.querySelector(arguments[0]).scrollIntoView()", selector)


def listed(page: Page) -> list[list[str]]:
    """The people who are listed one by one: the cells of each."""
    rows = page.browser.find_elements(By.CSS_SELECTOR, "table.cards tbody tr")
    return [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]


def ringing(page: Page, people: int = 4) -> int:
    """An alert that runs, with so many phones that ring."""
    add_people(page.api, *[RINGS_LONG] * people)
    callout_id = make_alert(page.api, remote_request_params=LONG)
    send_event(page.api, callout_id, "start")
    await_people(page.api, callout_id, calling=people)
    page.go(f"#/alerts/{callout_id}")
    page.wait(lambda: figures(page).get("calling") == people and f"{people} ring" in page.text(".people"))
    return callout_id

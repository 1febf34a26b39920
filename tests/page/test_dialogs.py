"""The second step of what cannot be undone: by keys, with what the server says, and over the end of a session."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from scfm.handlers.page_files import page_files
from tests.page.browsing import PASSWORD, Page

# A button that asks before it sends what it was told; `answered` is how often that succeeded.
ASKING = """
const [files, path, body, done] = arguments;
Promise.all([import(`${files}/lib/ui.js`), import(`${files}/lib/api.js`)]).then(([ui, api]) => {
  const { html, render, useState, Button, Confirm, Page } = ui;
  window.answered = 0;
  const send = async () => {
    await api.post(path, body);
    window.answered += 1;
  };
  function Asking() {
    const [open, setOpen] = useState(false);
    return html`<${Page} title="Stop">
      <${Button} onClick=${() => setOpen(true)}>Stop the alert<//>
      ${open && html`<${Confirm} title="Stop it?" label="Yes, stop" action=${send} onClose=${() => setOpen(false)}>
        <p>1,638 people will not be called.</p>
      <//>`}
    <//>`;
  }
  render(html`<${Asking} />`, document.getElementById("content"));
  done();
});
"""


def asking(page: Page, path: str, body: dict[str, object]) -> None:
    files = f"{page.url}/static/{page_files().digest}"
    page.browser.execute_async_script(ASKING, files, path, body)


@pytest.fixture
def dialog(page: Page) -> Page:
    """A page with an open dialog that makes a contact."""
    asking(page, "api/contacts", {"msisdn": "+85510500001"})
    page.click("Stop the alert")
    page.wait_for("dialog[open]")
    return page


def answered(page: Page) -> int:
    return int(page.browser.execute_script("return window.answered"))


def contacts(page: Page) -> int:
    return len(page.api.get("/api/contacts").json)


def test_it_begins_with_what_does_no_harm_and_escape_closes_it(dialog: Page) -> None:
    assert dialog.focused() == "Cancel"
    dialog.check_accessible()
    dialog.press(Keys.ESCAPE)
    dialog.wait(lambda: not dialog.all("dialog"))
    assert dialog.focused() == "Stop the alert"
    assert (answered(dialog), contacts(dialog)) == (0, 0)


def test_the_focus_stays_inside(dialog: Page) -> None:
    """Between its last and its first element there is only the browser itself."""
    for _ in range(4):
        dialog.press(Keys.TAB)
        outside = "return !document.activeElement.closest('dialog') && document.activeElement !== document.body"
        assert not dialog.browser.execute_script(outside)


def test_pressed_twice_it_is_done_once(dialog: Page) -> None:
    button = dialog.button("Yes, stop")
    dialog.browser.execute_script("arguments[0].click(); arguments[0].click()", button)
    dialog.wait(lambda: not dialog.all("dialog"))
    assert (answered(dialog), contacts(dialog)) == (1, 1)


# Requests are sent when window.released() is called.
HOLD_REQUESTS = """const sent = window.fetch;
const released = new Promise((resolve) => { window.released = resolve; });
window.fetch = async (...given) => { await released; return sent(...given); };"""


def test_it_stays_until_what_it_does_is_done(dialog: Page) -> None:
    dialog.browser.execute_script(HOLD_REQUESTS)
    dialog.click("Yes, stop")
    dialog.wait_for_text("Working …", "dialog .danger")
    dialog.check_accessible()
    for _ in range(3):
        dialog.press(Keys.ESCAPE)
    assert dialog.all("dialog[open]")
    assert not dialog.browser.find_element("xpath", "//dialog//button[.='Cancel']").is_enabled()
    dialog.browser.execute_script("window.released()")
    dialog.wait(lambda: not dialog.all("dialog"))
    assert (answered(dialog), contacts(dialog)) == (1, 1)


def test_what_the_server_refuses_is_said_in_it(page: Page) -> None:
    asking(page, "api/contacts", {"msisdn": "12"})
    page.click("Stop the alert")
    page.click("Yes, stop")
    page.wait_for_text("msisdn", "dialog [role=alert]")
    page.check_accessible()
    page.click("Cancel")
    page.wait(lambda: not page.all("dialog"))


def test_a_session_that_ends_in_it_is_renewed_and_it_goes_on(dialog: Page) -> None:
    dialog.browser.delete_all_cookies()
    dialog.click("Yes, stop")
    dialog.wait_for_text("The session has ended.", "#sign-in")
    assert not dialog.all("dialog")
    dialog.fill("E-mail address", dialog.people.email("admin"))
    dialog.fill("Password", PASSWORD)
    dialog.press(Keys.ENTER)
    dialog.wait(lambda: answered(dialog) == 1)
    dialog.wait(lambda: not dialog.all("dialog"))
    assert contacts(dialog) == 1


def test_a_session_that_another_tab_has_begun_is_used(dialog: Page) -> None:
    """Its token is another one, which is asked for."""
    dialog.sign_in_as("admin")
    dialog.click("Yes, stop")
    dialog.wait(lambda: answered(dialog) == 1)
    assert contacts(dialog) == 1

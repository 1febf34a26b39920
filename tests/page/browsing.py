"""The page as somebody sees it who looks and types: elements by their words, and what must be true of every view."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.server import Client, wait_until

HERE = Path(__file__).parent
PASSWORD = "correct horse battery staple"
COOKIE = "scfm_session"
# What a contact, a caller or a file may be called by somebody who wishes ill: it must be shown as it is.
HOSTILE = "<img src=x onerror=\"window.hacked='img'\"><script>window.hacked='script'</script>'\"${7*7}{{7*7}}"
# Pixels: a small phone, and an office's screen.
NARROW, WIDE = (360, 740), (1440, 900)
# A long wait is a failure; a busy machine is not.
WAIT_SECONDS = 60.0
# Rules of axe-core that are looked at: WCAG 2.2, levels A and AA, and what its authors call good practice.
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass
class People:
    """The users of an account that a test has for itself, made when they are needed."""

    api: Client
    emails: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def email(self, role: str) -> str:
        """The email of the account's user of this role."""
        if role not in self.emails:
            account = self.api.get("/api/account").json["id"]
            email = f"{role}.{account}@example.org"
            made = self.api.post("/api/users", json={"email": email, "password": PASSWORD, "role": role})
            assert made.status == 201, made
            self.emails[role] = email
        return self.emails[role]

    def cookie(self, role: str) -> str:
        """A new session of the account's user of this role."""
        credentials = {"email": self.email(role), "password": PASSWORD}
        answer = self.api.server.request("POST", "/session", json=credentials, token="")
        assert answer.status == 201, answer
        name, _, rest = answer.headers["Set-Cookie"].partition("=")
        assert name == COOKIE
        return str(rest.partition(";")[0])


class Page:
    """The page in the browser's window."""

    def __init__(self, browser: webdriver.Chrome, url: str, people: People, pictures: Path) -> None:
        """At URL, for users of PEOPLE; pictures go to the folder PICTURES."""
        self.browser = browser
        self.url = url
        self.people = people
        self.api = people.api
        self._pictures = pictures

    # Coming and going.

    def begin(self, role: str | None) -> None:
        """Open it in an empty browser, signed in with a role, or not signed in for None."""
        self.browser.get(f"{self.url}/health")  # cookies and stored texts are by origin
        # Those of other tests, too: a cookie is of a host, whatever its port.
        self.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.browser.execute_script("localStorage.clear(); sessionStorage.clear()")
        self.resize(WIDE)
        self.dark(False)
        self.complaints()
        if role is not None:
            self.sign_in_as(role)
        self.browser.get(f"{self.url}/")
        if role is not None:
            self.wait_for("h1")

    def end(self) -> None:
        """Leave it; AssertionError for what the browser has complained of."""
        complaints = self.complaints()
        self.online(True)
        while len(self.browser.window_handles) > 1:
            self.browser.switch_to.window(self.browser.window_handles[-1])
            self.browser.close()
        self.browser.switch_to.window(self.browser.window_handles[0])
        self.browser.get("about:blank")
        assert not complaints, complaints

    def sign_in_as(self, role: str) -> None:
        """Give the browser a session of another user of the account; what is open does not know yet."""
        cookie = {"name": COOKIE, "value": self.people.cookie(role), "path": "/", "httpOnly": True}
        self.browser.delete_all_cookies()
        self.browser.add_cookie({**cookie, "sameSite": "Strict"})

    def go(self, address: str) -> None:
        """Open a view: "#/alerts/5"."""
        self.browser.get(f"{self.url}/{address}")
        self.wait_for("#content h1")

    def complaints(self) -> list[str]:
        """Errors of scripts and breaches of the policy since this was asked last; answers of 4xx are none."""
        return [
            entry["message"]
            for entry in self.browser.get_log("browser")
            if entry["level"] == "SEVERE" and entry["source"] != "network"
        ]

    def sign_out(self) -> None:
        """Sign out by the menu of who is signed in."""
        self.wait_for(".user-menu .who").click()
        self.click("Sign out")
        self.wait_for("#sign-in-form")

    # Looking.

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until CONDITION gives something true, and give that. An element that goes away meanwhile is none."""

        def holds() -> Any:
            try:
                return condition()
            except (NoSuchElementException, StaleElementReferenceException):
                return None

        try:
            return wait_until(holds, WAIT_SECONDS)
        except AssertionError as error:
            error.add_note(f"at {self.browser.current_url}:\n{self.text()}\n{self.complaints()}")
            self.picture(f"failure-{id(error)}")
            raise

    def all(self, selector: str) -> list[WebElement]:
        """The elements that are shown of a CSS selector."""
        return [one for one in self.browser.find_elements(By.CSS_SELECTOR, selector) if one.is_displayed()]

    def wait_for(self, selector: str) -> WebElement:
        """The first of them, when it is there."""
        return self.wait(lambda: next(iter(self.all(selector)), None))

    def text(self, selector: str = "body") -> str:
        """What is shown there."""
        return str(self.browser.find_element(By.CSS_SELECTOR, selector).text)

    def wait_for_text(self, text: str, selector: str = "body") -> None:
        """Wait until TEXT is shown."""
        self.wait(lambda: text in self.text(selector))

    def button(self, name: str) -> WebElement:
        """The button or link with this name, when it is there; in an open dialog, of those in the dialog."""
        return self.wait(lambda: self._named("button, a, [role=button], summary", name))

    def _named(self, selector: str, name: str) -> WebElement | None:
        inside = "dialog[open] " if self.all("dialog[open]") else ""
        for one in self.all(", ".join(inside + part.strip() for part in selector.split(","))):
            if name in (one.text.strip(), one.get_attribute("aria-label")) and one.is_enabled():
                return one
        return None

    def field(self, label: str) -> WebElement:
        """What is filled in under this label, when it is there."""

        def found() -> WebElement | None:
            inside = "dialog[open] " if self.all("dialog[open]") else ""
            for one in self.browser.find_elements(
                By.CSS_SELECTOR, f"{inside}input, {inside}select, {inside}textarea"
            ):
                if one.accessible_name == label:
                    return one
            return None

        return self.wait(found)

    # Doing.

    def click(self, name: str) -> None:
        """Press the button, or follow the link, with this name."""
        self.wait(lambda: self._click(name))

    def _click(self, name: str) -> bool:
        found = self._named("button, a, [role=button], summary", name)
        if found is not None:
            found.click()
        return found is not None

    def click_and_confirm(self, name: str) -> None:
        """Press the button, and then that of the same name in the dialog that comes."""
        self.click(name)
        self.wait_for("dialog[open]")
        self.click(name)

    def fill(self, label: str, text: str) -> None:
        """Type TEXT in place of what stands in the field."""
        found = self.field(label)
        # Not clear(): the page does not hear of that, and may put back what stood there before TEXT is typed.
        found.send_keys(Keys.CONTROL, "a")
        found.send_keys(Keys.BACKSPACE, text)

    def choose(self, label: str, text: str) -> None:
        """Choose the option that reads TEXT, when it is there."""

        def chosen() -> bool:
            options = self.field(label).find_elements(By.TAG_NAME, "option")
            found = next((one for one in options if one.text == text), None)
            if found is not None:
                found.click()
            return found is not None

        self.wait(chosen)

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is: on a button, too, that takes no clicks at the moment."""
        ActionChains(self.browser).send_keys(*keys).perform()

    def focused(self) -> str:
        """The name of what has the focus."""
        active = self.browser.switch_to.active_element
        return str(active.accessible_name or active.text)

    def tab_to(self, name: str, most: int = 60) -> None:
        """Go by the Tab key to what has this name."""
        for _ in range(most):
            self.press(Keys.TAB)
            if self.focused() == name:
                return
        raise AssertionError(f"{name!r} is not reached by {most} presses of Tab")

    # The surroundings.

    def resize(self, size: tuple[int, int]) -> None:
        """Give the screen a width and a height in pixels."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, dark: bool) -> None:
        """Prefer a dark page, or a light one."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})

    def online(self, online: bool) -> None:
        """Take the network away, or give it back."""
        self.browser.execute_cdp_cmd("Network.enable", {})
        conditions = {"offline": not online, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def language(self, name: str) -> None:
        """Show the page in another language: "fr"."""
        self.browser.execute_script("localStorage.setItem('scfm.language', arguments[0]); location.reload()", name)
        self.wait(lambda: self.browser.find_element(By.CSS_SELECTOR, f"html[lang={name}] h1").is_displayed())

    # What holds of every view.

    def picture(self, name: str) -> None:
        """Keep a picture of the whole page, to be looked at."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        shot = self.browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        (self._pictures / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def check_accessible(self, without: Sequence[str] = ()) -> None:
        """AssertionError for what axe-core finds wrong with the page, with where and why, WITHOUT some rules."""
        if not self.browser.execute_script("return typeof window.axe === 'object'"):
            self.browser.execute_script(axe_core())
        found = self.browser.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {runOnly: arguments[0], resultTypes: ['violations']}).then("
            "({violations}) => done(violations), (error) => done([{id: String(error), nodes: []}]))",
            AXE_TAGS,
        )
        found = [rule for rule in found if rule["id"] not in without]
        told = [(rule["id"], node["target"], node["failureSummary"]) for rule in found for node in rule["nodes"]]
        assert not found, told or found

    def check_width(self) -> None:
        """AssertionError if the page is wider than the screen."""
        wide, screen, widest = self.browser.execute_script(
            "const {scrollWidth, clientWidth} = document.documentElement;"
            "const wide = [...document.querySelectorAll('body *')].filter("
            "(one) => one.getBoundingClientRect().right > clientWidth + 1);"
            "return [scrollWidth, clientWidth, wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 200))]"
        )
        assert wide <= screen, widest

    def check_view(self, name: str, languages: tuple[str, ...] = ("en",)) -> None:
        """Look at the view as it is in both widths, light and dark, in LANGUAGES; keep the pictures by NAME."""
        for language in languages:
            if languages != ("en",):
                self.language(language)
                self.wait(lambda: not self.all("p.busy"))
            for size, dark in itertools.product((WIDE, NARROW), (False, True)):
                self.resize(size)
                self.dark(dark)
                self.check_accessible()
                self.check_width()
                self.picture(f"{name}-{language}-{size[0]}-{'dark' if dark else 'light'}")
        self.resize(WIDE)
        self.dark(False)

    def check_harmless(self) -> None:
        """AssertionError if something of HOSTILE was taken for more than text."""
        hacked, elements = self.browser.execute_script(
            "return [window.hacked ?? null, document.querySelectorAll('img[src=x]').length]"
        )
        assert (hacked, elements) == (None, 0)

    @contextmanager
    def tab(self) -> Iterator[None]:
        """Another tab of the same browser, within which everything happens in it."""
        first = self.browser.current_window_handle
        self.browser.switch_to.new_window("tab")
        try:
            yield
        finally:
            self.browser.close()
            self.browser.switch_to.window(first)


@cache
def axe_core() -> str:
    """The script that checks accessibility."""
    path = HERE / "node_modules" / "axe-core" / "axe.min.js"
    assert path.exists(), "make test-page installs axe-core into tests/page/node_modules"
    return path.read_text()

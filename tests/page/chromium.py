"""A Chromium without a window, driven by its own driver."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ARGUMENTS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    # They would hide what is at the right edge of pictures.
    "--hide-scrollbars",
    "--lang=en-US",
    # A recording is of a tone that Chromium makes, and nobody is asked whether it may be.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """The browser, until the end of the context; AssertionError where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert binary and driver, "no browser: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ARGUMENTS:
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(driver))
    try:
        yield browser
    finally:
        browser.quit()

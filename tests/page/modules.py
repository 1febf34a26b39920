"""Modules of the page, of which a test asks something."""

from __future__ import annotations

from typing import Any

from tests.page.browsing import Page


def from_module(page: Page, path: str, expression: str, given: Any) -> Any:
    """The EXPRESSION of a `module` of the page's, and of what is `given`."""
    return page.browser.execute_async_script(
        "const [path, given, done] = arguments;"
        "const files = document.querySelector('script[type=module]').src.replace('main.js', '');"
        "import(files + 'lib/text.js').then(({allTexts}) => allTexts()).then(() => import(files + path))"
        f".then((module) => done({expression})).catch((error) => done(String(error)));",
        path,
        given,
    )

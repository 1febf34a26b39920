"""The API browser at /api/docs: Swagger UI from this server, for a browser without the internet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scfm.handlers.documentation import documentation_files
from tests.server import Server

FILES = Path(__file__).parents[2] / "scfm" / "handlers" / "static" / "documentation"
# What an element fetches, or leads to.
FETCHING = {"src", "href", "srcset", "action", "data", "poster", "background", "cite", "formaction", "manifest"}
LISTED = re.compile(r"\| `(\S+)` \| .* \| `([0-9a-f]{64})` \|")
LICENCES = ("swagger-ui.LICENSE", "swagger-ui.NOTICE", "swagger-ui-bundle.js.LICENSE.txt")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


class References(HTMLParser):
    """Collects the addresses that a page's elements fetch or lead to, and its scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in FETCHING]

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("script", "style"):
            self.inline += data.strip()


def test_the_page_refers_to_nothing_on_another_host(server: Server) -> None:
    answer = server.request("GET", "/api/docs", token="")
    assert answer.status == 200
    assert answer.headers.get_content_type() == "text/html"
    page = References()
    page.feed(answer.json)
    files = f"../static/{documentation_files().digest}"
    own = [
        f"{files}/{name}"
        for name in ("swagger-ui.css", "documentation.css", "swagger-ui-bundle.js", "documentation.js")
    ]
    assert page.addresses == ["data:,", *own, "../api/openapi.json"]
    assert page.inline == ""


def test_its_files_are_there_for_a_year_compressed(server: Server) -> None:
    for name, file in documentation_files().by_name.items():
        path = f"/static/{documentation_files().digest}/{name}"
        answer = server.request("GET", path, token="", headers={"Accept-Encoding": "gzip"})
        assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
        assert int(answer.headers["Content-Length"]) == len(file.gzip) < len(file.content)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"] == file.content_type


@pytest.mark.parametrize("name", ["index.html", *LICENCES, "README.md", "../documentation.py", "main.js"])
def test_nothing_else_is_there(server: Server, name: str) -> None:
    assert server.request("GET", f"/static/{documentation_files().digest}/{name}", token="").status == 404


def test_the_browser_is_told_to_load_and_ask_this_server_only(server: Server) -> None:
    answer = server.request("GET", "/api/docs", token="")
    rules = dict(rule.strip().split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert rules["img-src"] == "'self' data:"
    assert rules["frame-ancestors"] == "'none'"


def test_the_page_and_the_document_are_fetched_again_only_when_they_change(server: Server) -> None:
    for path in ("/api/docs", "/api/openapi.json"):
        etag = server.request("GET", path, token="").headers["ETag"]
        assert server.request("GET", path, token="", headers={"If-None-Match": etag}).status == 304


def test_the_library_is_the_one_that_is_listed_with_its_licence() -> None:
    listed = dict(LISTED.findall((FILES / "README.md").read_text()))
    assert set(listed) == {path.name for path in FILES.glob("swagger-ui*") if path.name not in LICENCES}
    for name, digest in listed.items():
        assert hashlib.sha256((FILES / name).read_bytes()).hexdigest() == digest, name
    assert "Apache License" in (FILES / "swagger-ui.LICENSE").read_text()
    assert all((FILES / name).stat().st_size > 0 for name in LICENCES)

"""Behind a proxy that takes a path away: every URL that the server gives leads back through the proxy."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from scfm.handlers.routes import routes
from scfm.models.registry import RESOURCES
from scfm.schemas import NAMES
from tests.acceptance.test_api_browser import References
from tests.server import Answer, Server
from tests.torture.databases import free_port

PREFIX = "/alerts"
HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@contextmanager
def proxy(port: int, target: Server) -> Iterator[None]:
    """A proxy on PORT that passes what is under PREFIX on without it, and knows nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            behind = HTTPConnection(target.host, target.port)
            behind.request(self.command, self.path.removeprefix(PREFIX), body, dict(self.headers))
            answer = behind.getresponse()
            content = answer.read()
            behind.close()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows its public address, where the proxy listens."""
    port = free_port()
    public = f"http://127.0.0.1:{port}{PREFIX}"
    with Server(tmp_path_factory.mktemp("data"), {"PUBLIC_URL": public}) as server, proxy(port, server):
        yield server


def public_url(server: Server) -> str:
    return server.environment["PUBLIC_URL"]


def follow(server: Server, url: str, **headers: str) -> Answer:
    """What is at an absolute URL, which must be the proxy's."""
    parts = urlsplit(url)
    asked = Server(Path("/nowhere"))
    asked.host, asked.port, asked.token = str(parts.hostname), int(parts.port or 0), server.token
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return asked.request("GET", path, headers=headers)


def test_the_pages_of_a_list_lead_through_the_proxy(server: Server) -> None:
    for number in range(3):
        server.request("POST", "/api/contacts", form={"msisdn": f"+25266234567{number}"})
    page = follow(server, f"{public_url(server)}/api/contacts?per_page=1&q[created_at_after]=2020-01-01")
    seen = [one["id"] for one in page.json]
    while following := re.search(r'<([^>]+)>; rel="next"', page.headers.get("Link", "")):
        assert following[1].startswith(f"{public_url(server)}/api/contacts?")
        page = follow(server, following[1])
        seen += [one["id"] for one in page.json]
    assert len(seen) == 3


def test_what_is_created_is_where_its_location_leads(server: Server) -> None:
    for key in ({}, {"Idempotency-Key": "first"}, {"Idempotency-Key": "first"}):
        made = server.request("POST", "/api/callouts", headers=key)
        where = urljoin(f"{public_url(server)}/api/callouts", made.headers["Location"])
        assert follow(server, where).json["id"] == made.json["id"]


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/"])
def test_the_documentation_loads_its_document_and_tries_it(server: Server, path: str) -> None:
    page = follow(server, public_url(server) + path)
    references = References()
    references.feed(page.json)
    *files, address = (one for one in references.addresses if not one.startswith("data:"))
    assert [follow(server, urljoin(public_url(server) + path, file)).status for file in files] == [200] * 4
    document = follow(server, urljoin(public_url(server) + path, address))
    assert document.json["openapi"] == "3.1.0"
    (described,) = document.json["servers"]
    assert described == {"url": public_url(server)}
    # The page tries a path below what comes before /api/openapi.json in the address of its document.
    assert urljoin(public_url(server) + path, address) == f"{public_url(server)}/api/openapi.json"


@pytest.mark.parametrize("path", ["/", "/api", "/api/"])
def test_every_link_of_the_first_page_leads_somewhere(server: Server, path: str) -> None:
    here = public_url(server) + path
    references = References()
    references.feed(follow(server, here, **HTML).json)
    assert len(references.addresses) >= 3
    for address in references.addresses:
        expected = 401 if address == "session" else 200  # nobody is signed in
        assert follow(server, urljoin(here, address)).status == expected, address
    told = follow(server, here).json
    for name in ("docs", "openapi", "health"):
        assert follow(server, told[name]).status == 200


# What a script loads beside itself, and what a published schema refers to.
IMPORTED = re.compile(r'(?:from|import\(|import) ?"(\.[^"]+)"')
REFERRED = re.compile(r'"\$ref":"([^"#]+)')


def links_of(url: str, answer: Answer) -> set[str]:
    """The absolute URLs that an answer leads to, as a program that reads it finds them."""
    kind, found = answer.headers.get_content_type(), set()
    if kind == "text/html":
        references = References()
        references.feed(answer.json)
        found |= {one for one in references.addresses if not one.startswith("data:")}
    elif kind == "text/javascript":
        found |= set(IMPORTED.findall(answer.json))
    elif kind == "application/json" and "/api/schemas/" in url:
        found |= set(REFERRED.findall(json.dumps(answer.json, separators=(",", ":"))))
    elif kind == "application/json" and isinstance(answer.json, dict) and answer.json.get("name") == "scfm":
        found |= {answer.json[name] for name in ("docs", "openapi", "health")}
    found |= set(re.findall(r"<([^>]+)>; rel=", answer.headers.get("Link", "")))
    return {urljoin(url, one).partition("#")[0] for one in found}


def test_every_link_that_is_followed_leads_through_the_proxy(server: Server) -> None:
    for number in range(3):
        server.request("POST", "/api/contacts", form={"msisdn": f"+25266234568{number}"})
    here = public_url(server)
    known = {route.name for route in routes()}
    lists = [f"/api/{one.collection}?per_page=1" for one in RESOURCES if f"/api/{one.collection}" in known]
    schemas = [f"/api/schemas/{name}.json" for name in NAMES]
    begin = ["/", "/api", "/api/", "/api/docs", "/api/docs/", "/api/openapi.json", *lists, *schemas]
    waiting, seen = [f"{here}{path}" for path in begin], set()
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        assert url.startswith(f"{here}/"), url
        for headers in ({}, HTML):
            answer = follow(server, url, **headers)
            assert answer.status == (401 if url == f"{here}/session" else 200), url
            waiting += links_of(url, answer)
    assert sum("/static/" in url for url in seen) > 20
    assert any("page=2" in url for url in seen)


def test_without_a_public_url_the_document_names_its_server_by_the_way_to_it(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        for path in ("/api/openapi.json", "/api/openapi.json/", "/api/openapi"):
            (named,) = server.request("GET", path, token="").json["servers"]
            assert urljoin(server.url + path, named["url"]).rstrip("/") == server.url
        server.request("POST", "/api/contacts", form={"msisdn": "+252662345670"})
        server.request("POST", "/api/contacts", form={"msisdn": "+252662345671"})
        link = server.request("GET", "/api/contacts?per_page=1").headers["Link"]
        assert f'<{server.url}/api/contacts?page=2&per_page=1>; rel="next"' in link

"""What is refused by a request's headers alone, and bodies that begin with a byte order mark."""

from __future__ import annotations

import codecs
import gzip
import json

import pytest

from tests.acceptance.test_api_browser import References
from tests.resources.conftest import make
from tests.server import Client

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "gzip, identity", "nonsense"])
@pytest.mark.parametrize("path", ["/api/contacts", "/api/contacts/import", "/api/remote_phone_call_events"])
def test_an_encoded_body_is_not_read_and_says_so(api: Client, path: str, encoding: str) -> None:
    body = gzip.compress(b"msisdn=%2B252662345678")
    answer = api.post(path, body=body, headers={**FORM, "Content-Encoding": encoding})
    assert (answer.status, answer.json["error"]) == (415, "Unsupported Media Type")
    assert "Content-Encoding" in answer.json["message"]
    assert api.get("/api/contacts").json == []


def test_identity_is_no_encoding(api: Client) -> None:
    assert api.post("/api/callouts", {}, headers={"Content-Encoding": "identity"}).status == 201


@pytest.mark.parametrize("verb", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_page_of_another_site_changes_nothing(api: Client, verb: str) -> None:
    path = f"/api/callouts/{make(api, '/api/callouts')}"
    asked = "/api/callouts" if verb == "POST" else path
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = api.server.request(verb, asked, token=api.token, form={"metadata[a]": "1"}, headers=headers)
    assert (answer.status, answer.json["error"]) == (403, "Forbidden")
    assert "cross-site" in answer.json["message"]
    assert [one["metadata"] for one in api.get("/api/callouts").json] == [{}]
    assert api.get(path, headers=headers).status == 200


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_a_page_of_this_site_may_change_things(api: Client, site: str) -> None:
    assert api.post("/api/callouts", headers={"Sec-Fetch-Site": site}).status == 201


@pytest.mark.parametrize(
    "body",
    [
        codecs.BOM_UTF8 + '{"metadata": {"name": "Амина"}}'.encode(),
        '{"metadata": {"name": "Амина"}}'.encode("utf-16"),
        codecs.BOM_UTF16_BE + '{"metadata": {"name": "Амина"}}'.encode("utf-16-be"),
        '{"metadata": {"name": "Амина"}}'.encode("utf-32"),
    ],
)
def test_json_with_a_byte_order_mark_is_read(api: Client, body: bytes) -> None:
    answer = api.post("/api/callouts", body=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["metadata"]) == (201, {"name": "Амина"})


@pytest.mark.parametrize("body", [codecs.BOM_UTF8, codecs.BOM_UTF8 * 2 + b"{}", codecs.BOM_UTF16_LE + b"{"])
def test_a_byte_order_mark_makes_nothing_json(api: Client, body: bytes) -> None:
    answer = api.post("/api/callouts", body=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json) == (400, {"status": 400, "error": "Bad Request"})


# The first page


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/api.json"])
def test_programs_are_told_where_things_are(api: Client, path: str) -> None:
    for accept in ("*/*", "application/json", "", "application/json, text/html;q=0.5", "text/html;q=0"):
        answer = api.server.request("GET", path, token="", headers={"Accept": accept})
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.json["docs"] == f"{api.server.url}/api/docs"
    assert json.dumps(answer.json).count(api.server.url) == 3


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "TEXT/HTML;q=0.9, application/json;q=0.8"])
def test_browsers_get_a_page_that_runs_and_fetches_nothing(api: Client, accept: str) -> None:
    answer = api.server.request("GET", "/api", token="", headers={"Accept": accept})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Vary"] == "Accept"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    page = References()
    page.feed(answer.json)
    assert len(page.addresses) == 3 and not any(":" in one or one.startswith("/") for one in page.addresses)
    assert len(answer.json) < 4096


def test_nothing_can_be_sent_to_the_first_page(api: Client) -> None:
    for path in ("/", "/api"):
        assert api.post(path).status == 404
        assert api.head(path).status == 200

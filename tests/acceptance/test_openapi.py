"""The API's description of itself: valid, complete, and for a browser without the internet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from scfm.models.registry import RESOURCES
from scfm.models.resource import Resource
from tests.server import Server

# What an element fetches, or leads to.
FETCHING = {"src", "href", "srcset", "action", "data", "poster", "background", "cite", "formaction", "manifest"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    answer = server.request("GET", "/api/openapi.json", token="")
    assert answer.status == 200
    return answer.json


def test_the_document_is_valid_openapi_3_1(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_reference_leads_somewhere(document: Any) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found = document
        for name in reference.split("/"):
            found = found[name]


def test_every_operation_has_a_name_of_its_own(document: Any) -> None:
    names = [one["operationId"] for verbs in document["paths"].values() for one in verbs.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_a_resource_has_its_fields_in_the_order_they_are_shown(document: Any, resource: Resource) -> None:
    title = "".join(word.capitalize() for word in resource.kind.split("_"))
    assert list(document["components"]["schemas"][title]["properties"]) == [one.name for one in resource.fields]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_every_list_names_its_filters(document: Any, resource: Resource) -> None:
    name = f"q_of_{resource.collection}"
    assert set(document["components"]["parameters"][name]["schema"]["properties"]) == set(resource.filters)
    lists = [
        verbs["get"]["parameters"]
        for path, verbs in document["paths"].items()
        if path.endswith(f"/{resource.collection}")
    ]
    assert lists
    assert all({"$ref": f"#/components/parameters/{name}"} in parameters for parameters in lists)


def test_only_the_health_check_and_the_webhook_need_no_token(document: Any) -> None:
    assert document["security"] == [{"basic": []}, {"bearer": []}]
    open_to_all = [
        (verb, path)
        for path, verbs in document["paths"].items()
        for verb, one in verbs.items()
        if one.get("security") == []
    ]
    assert set(open_to_all) == {("get", "/health"), ("post", "/api/remote_phone_call_events")}


def test_every_post_of_a_client_may_be_named(document: Any) -> None:
    posts = {path: verbs["post"] for path, verbs in document["paths"].items() if "post" in verbs}
    webhook = posts.pop("/api/remote_phone_call_events")
    assert len(posts) >= 12
    key = {"$ref": "#/components/parameters/Idempotency-Key"}
    for path, post in posts.items():
        assert key in post["parameters"], path
        assert "409" in post["responses"], path
        (made,) = [answer for status, answer in post["responses"].items() if status in ("200", "201")]
        assert "Idempotent-Replayed" in made["headers"], path
    assert key not in webhook["parameters"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/contacts?per_page=1", "/api/contacts"),
        ("/api/contacts/1", "/api/contacts/{id}"),
        ("/api/contacts/999", "/api/contacts/{id}"),
    ],
)
def test_an_answer_has_the_headers_that_are_described(document: Any, server: Server, path: str, route: str) -> None:
    for number in range(2):
        server.request("POST", "/api/contacts", form={"msisdn": f"+25266234567{number}"})
    answer = server.request("GET", path)
    described = document["paths"][route]["get"]["responses"][str(answer.status)]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    assert len(described["headers"]) >= 3
    assert [name for name in described["headers"] if answer.headers[name] is None] == []


def test_contacts_in_bulk_are_described(document: Any) -> None:
    imported = document["paths"]["/api/contacts/import"]["post"]["requestBody"]["content"]
    exported = document["paths"]["/api/contacts/export"]["get"]["responses"]["200"]["content"]
    workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert set(exported) == {"text/csv", "application/x-ndjson"}
    assert set(imported) == {*exported, workbook}


def test_the_webhook_answers_with_twiml(document: Any) -> None:
    webhook = document["paths"]["/api/remote_phone_call_events"]["post"]
    assert list(webhook["responses"]["201"]["content"]) == ["application/xml"]
    assert list(webhook["responses"]["403"]["content"]) == ["text/plain"]


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
            self.inline += data


def test_the_page_refers_to_nothing_on_another_host(server: Server) -> None:
    answer = server.request("GET", "/api/docs", token="")
    assert answer.status == 200
    assert answer.headers.get_content_type() == "text/html"
    page = References()
    page.feed(answer.json)
    assert page.addresses == ["../api/openapi.json"]
    assert re.findall(r"//\w|url\(|import\b|wss?:", page.inline) == []
    assert "fetch(DOCUMENT" in page.inline


def test_the_browser_is_told_to_speak_to_this_server_only(server: Server) -> None:
    policy = server.request("GET", "/api/docs", token="").headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"


def test_the_page_and_the_document_are_fetched_again_only_when_they_change(server: Server) -> None:
    for path in ("/api/docs", "/api/openapi.json"):
        etag = server.request("GET", path, token="").headers["ETag"]
        assert server.request("GET", path, token="", headers={"If-None-Match": etag}).status == 304

"""The files of the page, as the server gives them to browsers."""

from __future__ import annotations

import configparser
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from scfm.cli.purge import PURGE
from scfm.handlers.accepted import best_language, takes_gzip
from scfm.handlers.audit_log import EXPORT, IMPORT, READ
from scfm.handlers.page_files import FIRST_SECTIONS, LANGUAGES, page_files
from scfm.models.audited_change import CREATED, DELETED, UPDATED
from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.models.callout_status import STATUSES as CALLOUT_STATUSES
from scfm.models.erasure_record import ERASE
from scfm.models.hints import PHONE_NUMBER
from scfm.models.outcome import OUTCOMES, REASONS
from scfm.models.registry import AUDIT_EVENTS, REMOTE_PHONE_CALL_EVENTS, RESOURCES
from tests.server import Answer, Client

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "scfm" / "page"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
MAX_LINES = 300
EARLY_VIEWS = ("alerts", "shell", "sign-in")
LISTED = re.compile(r"\| `(\S+)` \| .* \| `([0-9a-f]{64})` \|")
# What Intl.PluralRules tells apart in each language; a text that is the same for all is no object. French has "many",
# too, for millions in words, which figures do not need: "other" is taken where a form is missing.
PLURALS = {"en": {"one", "other"}, "fr": {"one", "other"}, "km": {"other"}}


def browse(api: Client, path: str = "/", **headers: str) -> Answer:
    """What a browser that is not signed in gets."""
    return api.server.request("GET", path, token="", headers={"Accept": BROWSER, **headers})


def addresses(html: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', html)


def scripts() -> list[Path]:
    return sorted(path for path in PAGE.rglob("*.js") if path.parent.name != "vendor")


# The page


def test_browsers_get_the_page_with_a_strict_policy(api: Client) -> None:
    answer = browse(api)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "microphone=(self)" in answer.headers["Permissions-Policy"]
    assert "{{" not in answer.json
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", answer.json)


def test_what_the_page_loads_is_relative_and_is_there_for_a_year(api: Client) -> None:
    found = [address for address in addresses(browse(api).json) if address not in ("session", "api/docs")]
    assert len(found) > 10
    for address in found:
        assert address.startswith(f"static/{page_files().digest}/")
        answer = browse(api, f"/{address}")
        assert answer.status == 200, address
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("language", "title"), [("", "Sign in"), ("de", "Sign in"), ("fr-CA, en;q=0.5", "Connexion"), ("km", "ចូលប្រើ")]
)
def test_the_sign_in_form_is_in_the_page_in_the_browsers_language(api: Client, language: str, title: str) -> None:
    answer = browse(api, **{"Accept-Language": language})
    assert f">{title}</h1>" in answer.json
    assert 'data-state="signed-out"' in answer.json
    assert "Accept-Language" in answer.headers["Vary"]


def test_who_may_be_signed_in_is_not_shown_the_form_first(api: Client) -> None:
    answer = browse(api, Cookie="scfm_session=anything")
    assert 'data-state="signed-in"' in answer.json
    assert "Cookie" in answer.headers["Vary"]


def test_it_is_not_sent_again_while_it_is_the_same(api: Client) -> None:
    for path in ("/", f"/static/{page_files().digest}/main.js"):
        for encoding in ("identity", "gzip"):
            first = browse(api, path, **{"Accept-Encoding": encoding})
            again = browse(api, path, **{"Accept-Encoding": encoding, "If-None-Match": first.headers["ETag"]})
            assert (again.status, again.json) == (304, None)
            assert again.headers["ETag"] == first.headers["ETag"]
            other = "gzip" if encoding == "identity" else "identity"
            assert browse(api, path, **{"Accept-Encoding": other}).headers["ETag"] != first.headers["ETag"]


def test_a_head_has_the_headers_of_a_get(api: Client) -> None:
    path = f"/static/{page_files().digest}/style.css"
    got, head = browse(api, path), api.server.request("HEAD", path, token="")
    assert head.status == 200
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "main.js/",
        "main.js.json",
        "texts/en.json",
        "texts/en",
        "texts/en/first.json/",
        "",
        "lib",
        "lib/",
        "lib/../main.js",
        "../routes.py",
        "../../handlers/page.py",
        "..%2f..%2fsetup.cfg",
        "%2e%2e/%2e%2e/setup.cfg",
        "/etc/passwd",
        "vendor/README.md",
        "main.js%00",
    ],
)
def test_nothing_but_the_files_is_there(api: Client, path: str) -> None:
    assert browse(api, f"/static/{page_files().digest}/{path}").status == 404


def test_files_of_another_version_are_not_there(api: Client) -> None:
    assert browse(api, "/static/0123456789abcdef/main.js").status == 404


def test_every_file_is_sent_as_it_is_and_compressed() -> None:
    for name, file in page_files().by_name.items():
        assert name.startswith("texts/") or file.content == (PAGE / name).read_bytes()
        assert gzip.decompress(file.gzip) == file.content


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_texts_of_a_language_come_in_two_files(language: str) -> None:
    halves = [json.loads(page_files().by_name[f"texts/{language}/{half}.json"].content) for half in ("first", "rest")]
    assert halves[0] | halves[1] == texts(language)
    assert set(halves[0]) == set(FIRST_SECTIONS) and not set(halves[0]) & set(halves[1])


def test_what_is_shown_at_first_needs_no_other_texts() -> None:
    """Views of the first load, and the components, find their texts in the first file."""
    early = [PAGE / "main.js", *(PAGE / "lib").glob("*.js"), *(PAGE / "views" / f"{name}.js" for name in EARLY_VIEWS)]
    used = {section for path in early for section in re.findall(r'\bt\(["`](\w+)\.', path.read_text())}
    assert used <= set(FIRST_SECTIONS)


@pytest.mark.parametrize("header", ["gzip", "gzip, deflate, br", "deflate;q=0.5,GZIP;q=0.1", "*", "x-gzip"])
def test_gzip_is_sent_to_those_who_take_it(header: str) -> None:
    assert takes_gzip(header)


@pytest.mark.parametrize(
    "header", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0", "*;q=0", "gzip;q=x", "gzip;q=0, *"]
)
def test_gzip_is_not_sent_to_those_who_do_not(header: str) -> None:
    assert not takes_gzip(header)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr", "fr"),
        ("FR-fr", "fr"),
        ("en;q=0.3, km;q=0.8", "km"),
        ("de, *;q=0.1", "en"),
        ("fr;q=0", "en"),
        (";;,", "en"),
    ],
)
def test_the_language_is_the_one_that_is_liked_best(header: str, language: str) -> None:
    assert best_language(header, LANGUAGES) == language


# The libraries


def test_libraries_are_those_that_are_listed_with_their_licences() -> None:
    vendor = PAGE / "vendor"
    listed = dict(LISTED.findall((vendor / "README.md").read_text()))
    assert set(listed) == {path.name for path in vendor.glob("*.js")}
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
    for licence in ("preact.LICENSE", "htm.LICENSE"):
        assert "Copyright" in (vendor / licence).read_text() or "License" in (vendor / licence).read_text()


# The scripts


def test_no_script_is_long_and_none_makes_elements_of_text() -> None:
    assert len(scripts()) > 10
    for path in scripts():
        content = path.read_text()
        assert len(content.splitlines()) <= MAX_LINES, path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", content
        ), path


def test_every_view_that_has_an_address_is_there() -> None:
    routes = (PAGE / "lib" / "router.js").read_text().partition("const ROUTES = [")[2].partition("];")[0]
    views = re.findall(r'\["[^"]+", "([^"]+)"\]', routes)
    assert len(views) > 10
    for view in views:
        assert "export default function" in (PAGE / "views" / f"{view}.js").read_text(), view


def test_every_script_that_is_imported_is_there() -> None:
    for path in scripts():
        for address in re.findall(r'(?:from|import\() ?"(\.[^"]+)"', path.read_text()):
            assert (path.parent / address).is_file(), f"{path.name}: {address}"


# The texts


def texts(language: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((PAGE / "texts" / f"{language}.json").read_text())
    return found


def keys(language: str) -> Iterator[tuple[str, Any]]:
    for section, entries in texts(language).items():
        for key, text in entries.items():
            yield f"{section}.{key}", text


def forms(text: Any) -> list[str]:
    return list(text.values()) if isinstance(text, dict) else [text]


def places(text: Any) -> set[str]:
    return {name for form in forms(text) for name in re.findall(r"\{(\w+)\}", form)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_every_text_with_its_places_and_plural_forms(language: str) -> None:
    english, own = dict(keys("en")), dict(keys(language))
    assert set(own) == set(english)
    assert list(texts(language)) == list(texts("en"))
    for key, text in own.items():
        assert all(isinstance(form, str) and form.strip() for form in forms(text)), key
        assert places(text) == places(english[key]), key
        if isinstance(english[key], dict) and PLURALS[language] != {"other"}:
            assert isinstance(text, dict), key
        assert not isinstance(text, dict) or PLURALS[language] <= set(text) <= {*PLURALS[language], "many"}, key


def test_every_text_that_is_used_exists() -> None:
    known, sections = dict(keys("en")), set(texts("en"))
    used = {key for path in scripts() for key in re.findall(r'\bt\(\s*"([^"]+)"', path.read_text())}
    used |= set(re.findall(r'data-text="([^"]+)"|\{\{(\w+\.\w+)\}\}', (PAGE / "index.html").read_text())[0]) - {""}
    assert len(used) > 30
    assert not used - set(known)
    # A key that is put together begins with one of the sections.
    for path in scripts():
        for section in re.findall(r"\bt\(`(\w+)\.", path.read_text()):
            assert section in sections, path


def test_every_word_of_the_api_for_what_became_of_something_has_a_text() -> None:
    english = texts("en")
    assert set(OUTCOMES) == set(english["outcome"])
    assert set(REASONS) <= set(english["reason"])
    assert {*CALL_STATUSES, *CALLOUT_STATUSES} <= set(english["status"])


def test_the_audit_log_has_a_word_for_every_action_and_every_kind_of_subject() -> None:
    words = (PAGE / "views" / "audit" / "words.js").read_text()
    offered = {
        name: set(re.findall(r'"(\w+)"', part))
        for name, part in re.findall(r"const (\w+) = (\[.*?\n\]);", words, re.S)
    }
    machines = [resource.machine for resource in RESOURCES if resource.machine is not None]
    of_machines = {event for machine in machines for event in machine.events}
    assert offered["ACTIONS"] >= {*of_machines, CREATED, UPDATED, DELETED, READ, EXPORT, IMPORT, ERASE, PURGE}
    unaudited = {AUDIT_EVENTS.kind, REMOTE_PHONE_CALL_EVENTS.kind}
    assert offered["SUBJECTS"] == {resource.kind for resource in RESOURCES} - unaudited | {"server"}
    told = texts("en")["audit"]
    assert {f"action_{action}" for action in offered["ACTIONS"]} <= set(told)
    assert {f"subject_{kind}" for kind in offered["SUBJECTS"]} <= set(told)


# What stands in the program in parts: how a message is put together, with one of the kinds that it is of.
COMPOSED = {
    "Cannot delete record because dependent {} exist": ("callout participations", "phone calls"),
    "{}; for numbers as they are dialled within a country, set the account's default_country": (PHONE_NUMBER,),
}


def test_messages_of_the_server_that_are_translated_are_still_said() -> None:
    program = "".join(path.read_text() for path in (ROOT / "scfm").rglob("*.py"))
    schemas = "".join(path.read_text() for path in (ROOT / "scfm" / "schemas").glob("*.json"))
    said = {named(text) for text in re.findall(r'"([^"\n]+)"', program + schemas)}
    for pattern, parts in COMPOSED.items():
        assert all(part in program for part in pattern.split("{}"))
        said |= {named(pattern.replace("{}", part)) for part in parts}
    messages = texts("en")["message"]
    assert len(messages) > 10
    for name, message in messages.items():
        assert name == named(message)
        assert name in said, message


def named(message: str) -> str:
    """The key of a message of the server: its letters; what stands in braces is a value."""
    return re.sub("[^a-z]+", "_", re.sub(r"\{[^}]*\}", "", message).lower().replace("'", "")).strip("_")


def test_every_file_of_the_page_is_in_the_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["scfm"].split()
    for path in PAGE.rglob("*"):
        name = str(path.relative_to(ROOT / "scfm"))
        # A star of setuptools does not go into folders.
        assert path.is_dir() or any(fnmatch(name, one) and name.count("/") == one.count("/") for one in patterns), (
            name
        )

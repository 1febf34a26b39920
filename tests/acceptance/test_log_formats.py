"""The lines of the log, for people and for programs: one for each request, and a redaction of what none may have."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scfm.runtime import log_context
from scfm.runtime.log_format import AnsweredRequest, HumanFormatter, JsonFormatter, fields
from scfm.runtime.redaction import redacted
from tests.acceptance.test_start import LINE
from tests.server import Server, wait_until

NUMBER, TOKEN, AUTH_TOKEN = "+252662345678", "f" * 64, "0123456789abcdef0123456789abcdef"


def record(message: str, *values: object, trace: bool = False, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("scfm.work", logging.INFO, __file__, 1, message, values, None)
    if trace:
        try:
            raise KeyError(f"no {NUMBER}")
        except KeyError:
            made.exc_info = sys.exc_info()
    made.__dict__.update(more)
    return made


def said(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture
def working_for() -> Iterator[str]:
    log_context.work_for("request-1")
    yield "request-1"
    log_context.work_for(None)


def test_a_line_for_people_has_its_time_with_the_zone_its_level_its_logger_and_the_request(working_for: str) -> None:
    line = HumanFormatter().format(record("callout %d begins", 3, **fields(callout_id=3)))
    assert LINE.fullmatch(line)
    assert line.endswith(f" INFO scfm.work: callout 3 begins (request {working_for})")


def test_a_line_for_programs_is_one_object(working_for: str) -> None:
    object_ = said(record("callout %d begins", 3, **fields(callout_id=3, status="running")))
    assert list(object_) == ["time", "level", "logger", "message", "request_id", "callout_id", "status"]
    moment = datetime.fromisoformat(object_.pop("time"))
    assert moment.tzinfo is not None
    assert object_ == {
        "level": "INFO",
        "logger": "scfm.work",
        "message": "callout 3 begins",
        "request_id": working_for,
        "callout_id": 3,
        "status": "running",
    }


def test_a_line_of_no_request_says_so(working_for: str) -> None:
    assert said(record("x"))["request_id"] == working_for
    log_context.work_for(None)
    assert said(record("x"))["request_id"] is None


@pytest.mark.parametrize("account_id", [None, 3])
def test_the_line_of_a_request_is_that_of_its_record(working_for: str, account_id: int | None) -> None:
    route, moment = "/api/contacts/{id}", 1_796_000_000.9994
    answered = AnsweredRequest(moment, logging.INFO, "scfm.http", "GET", route, 200, 0.00123, account_id, "other")
    for formatter in (HumanFormatter(), JsonFormatter()):
        line = formatter.format_request(answered)
        assert line == formatter.format(answered.record())
    object_ = json.loads(line)
    assert object_["request_id"] == "other" and object_["account_id"] == account_id


def test_a_trace_stays_in_its_object_and_shows_no_number() -> None:
    object_ = said(record("it failed", trace=True))
    assert object_["exception"].startswith("Traceback") and object_["exception"].endswith("'no +•••••••••678'")
    people = HumanFormatter().format(record("it failed", trace=True))
    assert "\nTraceback" in people and NUMBER not in people


def test_a_field_never_takes_the_place_of_what_each_line_has() -> None:
    assert said(record("x", **fields(message="y", time=1, level=2)))["message"] == "x"


@pytest.mark.parametrize("value", ["\ud800", 1 << 70, {1, 2}, Path("/tmp"), float("nan")])
def test_any_value_of_a_field_is_a_line(value: object) -> None:
    assert "odd" in said(record("x", **fields(odd=value)))


def test_what_somebody_sends_does_not_make_lines_of_its_own() -> None:
    line = HumanFormatter().format(record("refused: %s", "no\n2026-01-01 INFO scfm: all is well\x1b[2K"))
    assert line.isprintable() and r"no\n2026" in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"call to {NUMBER}.", "call to +•••••••••678."),
        ("call to 252662345678", "call to •••••••••678"),
        ("{'To': '+15005550001'}", "{'To': '+••••••••001'}"),
        (f"token {TOKEN}", "token [hidden]"),
        (f"Basic {AUTH_TOKEN}:", "Basic [hidden]:"),
        (f"scfm_session={'aB3-_' * 8}xyz;", "scfm_session=[hidden];"),
        ("mongodb://scfm:secret@db.example.org/", "mongodb://[hidden]@db.example.org/"),
    ],
)
def test_numbers_and_secrets_are_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert shown in HumanFormatter().format(record("%s", text))
    assert said(record("%s", text))["message"] == shown
    assert said(record("x", **fields(given=text)))["given"] == shown


@pytest.mark.parametrize(
    "text",
    [
        "phone call 12345678 of account 1 (CallSid CA0123456789abcdef0123456789abcdef)",
        "account ACfedcba9876543210fedcba9876543210, 1.234567891 s, at 2026-11-28T19:12:34.123+0000",
        "request 6f0c7f0e-4bb1-4f4c-9bfb-0a8b0a1c2d3e, 20261128-123456",
    ],
)
def test_ids_and_times_are_not(text: str) -> None:
    assert redacted(text) == text


def test_each_request_is_a_line_with_its_route_and_never_its_path(tmp_path: Path) -> None:
    settings = {"PLATFORM_PROVIDER": "simulator", "LOG_FORMAT": "json"}
    with Server(tmp_path / "data", settings) as server:
        server.request("GET", f"/api/contacts/{NUMBER}?q[msisdn]=%2B{NUMBER[1:]}", headers={"X-Request-Id": "mine"})
        server.request("GET", "/health")
        server.request("GET", f"/{TOKEN}", headers={"X-Request-Id": TOKEN})
        server.request("X" * 5000, "/api/contacts")
        server.request(f"X{NUMBER[1:]}", "/api/contacts")
        wait_until(lambda: len(server.stderr) >= 4)
    first, second, *odd = (json.loads(line) for line in server.stderr)
    assert [one["method"] for one in odd] == ["(other)", "(other)"]
    assert first["milliseconds"] > 0 and first["account_id"] == 1
    assert (first["method"], first["route"], first["status"]) == ("GET", "/api/contacts/{id}", 404)
    assert first["request_id"] == "mine"
    assert (second["route"], second["account_id"]) == ("(other)", None)
    assert second["request_id"] not in (TOKEN, None)

"""What a provider tells of a call beside its status, and which of its error codes refuse a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from scfm.models.call_endings import answered_by_machine, ending_fields, unreached_reason
from scfm.models.call_lifecycle import CallStatus
from scfm.providers.call_facts import CallFacts, call_facts
from scfm.providers.refusals import REFUSAL_BY_CODE, REFUSAL_BY_SIP_STATUS, Refusal


@pytest.mark.parametrize(
    ("told", "facts"),
    [
        ({}, CallFacts()),
        ({"AnsweredBy": "machine_end_beep"}, CallFacts(answered_by="machine_end_beep")),
        ({"AnsweredBy": " "}, CallFacts()),
        ({"AnsweredBy": "x" * 100}, CallFacts(answered_by="x" * 64)),
        ({"answered_by": "human", "duration": "31"}, CallFacts(answered_by="human", duration=31)),
        ({"answered_by": None, "duration": 20}, CallFacts(duration=20)),
        ({"CallDuration": "31", "Duration": "1"}, CallFacts(duration=31)),
        ({"CallDuration": "-1"}, CallFacts()),
        ({"CallDuration": "1.5"}, CallFacts()),
        ({"CallDuration": "\u0663"}, CallFacts()),
        ({"duration": True}, CallFacts()),
        ({"duration": {"seconds": 1}}, CallFacts()),
        ({"ErrorCode": "32005", "SipResponseCode": "503"}, CallFacts(error_code="32005")),
        ({"ErrorCode": "0"}, CallFacts()),
        ({"SipResponseCode": "503"}, CallFacts(error_code="SIP 503")),
        ({"SipResultCode": "486"}, CallFacts(error_code="SIP 486")),
        ({"SipResponseCode": "200"}, CallFacts()),
        ({"ErrorCode": "13224"}, CallFacts(error_code="13224", refusal=Refusal.INVALID_NUMBER)),
        ({"ErrorCode": "13225"}, CallFacts(error_code="13225", refusal=Refusal.FORBIDDEN)),
        ({"ErrorCode": "32005", "SipResponseCode": "404"}, CallFacts(None, None, "32005", Refusal.INVALID_NUMBER)),
        ({"SipResponseCode": "403"}, CallFacts(error_code="SIP 403", refusal=Refusal.FORBIDDEN)),
        ({"SipResponseCode": "603"}, CallFacts(error_code="SIP 603")),
        ({"error_code": 21211}, CallFacts(error_code="21211", refusal=Refusal.INVALID_NUMBER)),
        ({"ErrorCode": "E13224"}, CallFacts(error_code="E13224")),
    ],
)
def test_the_facts_are_read_from_a_form_or_an_answer(told: dict[str, object], facts: CallFacts) -> None:
    assert call_facts(told) == facts


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ("completed", {"duration": 0}),
        ("busy", {"error_code": "SIP 404"}),
        ("failed", {"error_code": "SIP 404", "_refusal": "invalid_number"}),
        ("errored", {"error_code": "SIP 404", "_refusal": "invalid_number"}),
        ("in_progress", {}),
        (None, {}),
    ],
)
def test_a_call_keeps_what_belongs_to_its_end(status: str | None, kept: dict[str, object]) -> None:
    assert ending_fields(call_facts({"CallDuration": "0", "SipResponseCode": "404"}), status) == kept


def test_a_call_that_failed_after_it_was_answered_keeps_its_duration() -> None:
    assert ending_fields(call_facts({"CallDuration": "4"}), "failed") == {"duration": 4}


@pytest.mark.parametrize(
    ("call", "is_machine"),
    [
        ({}, False),
        ({"answered_by": None}, False),
        ({"answered_by": "human"}, False),
        ({"answered_by": "unknown"}, False),
        ({"answered_by": "machine"}, True),
        ({"answered_by": "machine_start"}, True),
        ({"answered_by": "fax"}, True),
        ({"answered_by": "machine_start", "_person": True}, False),
    ],
)
def test_a_machine_is_one_unless_a_key_is_pressed(call: dict[str, object], is_machine: bool) -> None:
    assert answered_by_machine(call) is is_machine


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"status": CallStatus.BUSY, "_refusal": "invalid_number"}, "busy"),
        ({"status": "not_answered"}, "not_answered"),
        ({"status": "canceled"}, "canceled"),
        ({"status": "failed"}, "failed"),
        ({"status": "failed", "_refusal": "forbidden"}, "forbidden"),
        ({"status": "errored", "_refusal": "invalid_number"}, "invalid_number"),
    ],
)
def test_the_reason_is_that_of_the_number_where_the_provider_refuses_it(call: dict[str, object], reason: str) -> None:
    assert unreached_reason(call) == reason


def test_the_tables_of_refusals_hold_codes_of_their_kind() -> None:
    assert all(10_000 <= code < 100_000 for code in REFUSAL_BY_CODE)
    assert all(300 <= status < 700 for status in REFUSAL_BY_SIP_STATUS)


def test_the_documentation_lists_every_refusal() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
    for reason in Refusal:
        (row,) = [line.split("|") for line in page.splitlines() if line.startswith(f"| `{reason.value}` |")]
        for cell, table in zip(row[2:4], (REFUSAL_BY_CODE, REFUSAL_BY_SIP_STATUS), strict=True):
            assert [int(code) for code in cell.split(",")] == sorted(code for code in table if table[code] == reason)

"""What each provider honours: the documentation has it, and a plan that needs more is warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scfm.models.plan import Plan
from scfm.models.plan_provider import provider_warnings
from scfm.providers.abilities import (
    ALL,
    SIGNALWIRE,
    SIMULATOR,
    SOMLENG,
    TWILIO,
    Abilities,
    abilities_of,
    is_signalwire,
)
from scfm.providers.credentials import Credentials
from scfm.simulator.carrier import QUICK
from scfm.workers.request_params import attempt_params, sent_params

SERVER = "https://alerts.example.org"
WEBHOOK = f"{SERVER}/api/remote_phone_call_events"
CALLBACK = {"status_callback": WEBHOOK, "status_callback_method": "POST"}
DEFAULTS = {"url": WEBHOOK, "method": "POST", **CALLBACK}
IN_BACKGROUND = {
    "machine_detection": "Enable",
    "async_amd": "true",
    "async_amd_status_callback": WEBHOOK,
    "async_amd_status_callback_method": "POST",
}


def a_plan(**fields: Any) -> Plan:
    plan = Plan.of({"plan": {"audience": {}, "remote_request_params": {"from": "1294"}, **fields}})
    assert plan is not None
    return plan


def cells(abilities: Abilities) -> list[str]:
    """The provider's column of the table."""
    honoured = [
        abilities.ring_timeout,
        abilities.machine_detection,
        abilities.asynchronous_detection,
        abilities.status_callback_events,
        abilities.recording,
        abilities.hanging_up,
    ]
    return [
        abilities.name,
        *("yes" if one else "no" for one in honoured),
        f"{abilities.inline_twiml} characters",
        f"{abilities.queue_hours} hours" if abilities.queue_hours else "",
        f"{abilities.queue_calls} calls" if abilities.queue_calls else "",
        f"{abilities.calls_per_second:g} a second" if abilities.calls_per_second else "",
    ]


def test_the_documentation_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
    lines = page.partition("## What each honours")[2].partition("\n\nAn empty cell")[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    columns = list(zip(*(row[1:] for row in rows if row[0] != "---"), strict=True))
    assert columns == [tuple(cells(abilities)) for abilities in ALL]


@pytest.mark.parametrize(
    ("provider", "base_url", "abilities"),
    [
        ("twilio", None, TWILIO),
        ("twilio", "http://127.0.0.1:4010", TWILIO),
        ("twilio", "https://alerts.signalwire.com/api/laml", SIGNALWIRE),
        ("somleng", "https://somleng.example", SOMLENG),
        ("simulator", "http://127.0.0.1:4010", SIMULATOR),
    ],
)
def test_they_are_told_by_the_credentials(provider: str, base_url: str | None, abilities: Abilities) -> None:
    assert abilities_of(Credentials(provider, "AC1", "secret", base_url)) is abilities


@pytest.mark.parametrize(
    ("base_url", "is_it"),
    [
        ("https://alerts.signalwire.com", True),
        ("https://alerts.signalwire.com/api/laml/", True),
        ("http://127.0.0.1:4010/api/laml", True),
        ("https://signalwire.com.example.org", False),
        ("https://[", False),
        ("", False),
        (None, False),
    ],
)
def test_signalwire_is_told_by_its_base_url(base_url: str | None, is_it: bool) -> None:
    assert is_signalwire(base_url) is is_it


def test_what_a_provider_ignores_is_a_warning() -> None:
    plan = a_plan(
        remote_request_params={"from": "1294", "timeout": 30, "record": None, "machine_detection": "Enable"},
        answering_machine="retry",
    )
    assert provider_warnings(plan, TWILIO) == []
    assert provider_warnings(plan, SOMLENG) == [
        "Somleng ignores timeout of remote_request_params",
        "Somleng ignores machine_detection of remote_request_params",
        "Somleng does not tell whether a machine answers: answering_machine 'retry' has no effect",
    ]
    assert provider_warnings(a_plan(), SOMLENG) == []


def sent(plan: Plan, abilities: Abilities, twiml: str | None = None) -> dict[str, Any]:
    """What a server at SERVER sends for an attempt; none of its addresses is stored."""
    stored = attempt_params(plan, abilities, twiml)
    assert SERVER not in str(stored)
    return sent_params(stored, SERVER)


@pytest.mark.parametrize(
    ("plan", "abilities", "added"),
    [
        ({}, TWILIO, {}),
        ({"answering_machine": "hang_up"}, SOMLENG, {}),
        ({"answering_machine": "hang_up"}, TWILIO, {"machine_detection": "Enable"}),
        ({"answering_machine": "retry"}, SIGNALWIRE, {"machine_detection": "Enable"}),
    ],
)
def test_detection_is_asked_for_where_a_plan_needs_it(
    plan: dict[str, Any], abilities: Abilities, added: dict[str, Any]
) -> None:
    assert sent(a_plan(**plan), abilities) == {"from": "1294", **DEFAULTS, **added}


def test_detection_tells_in_the_background_where_nothing_else_is_asked() -> None:
    said, own = "<Response />", {"from": "1294", "twiml": "<Response />"}
    plan = a_plan(answering_machine="hang_up")
    assert sent(plan, TWILIO, said) == {**own, **CALLBACK, **IN_BACKGROUND}
    at_once = Abilities(**{**vars(TWILIO), "asynchronous_detection": False})
    assert sent(plan, at_once, said) == {**own, **CALLBACK, "machine_detection": "Enable"}


def test_a_plan_that_asks_for_detection_itself_gets_what_it_asks_for() -> None:
    own = {"from": "1294", "machine_detection": "DetectMessageEnd"}
    assert sent(a_plan(remote_request_params=own, answering_machine="retry"), TWILIO) == {**own, **DEFAULTS}


def test_what_is_said_first_is_sent_in_place_of_a_url() -> None:
    own = {"from": "1294", "url": "https://own.example", "method": "GET", "timeout": 20}
    said = "<Response><Say>Water.</Say></Response>"
    assert sent(a_plan(remote_request_params=own), TWILIO, said) == {
        "from": "1294",
        "timeout": 20,
        "twiml": said,
        **CALLBACK,
    }


def test_a_call_of_the_simulator_lasts_as_long_as_plans_are_told() -> None:
    assert SIMULATOR.life_size == QUICK
    assert {abilities.life_size for abilities in ALL} == {1.0, QUICK}

"""A machine that answers: a plan that does not speak to it has the call ended, and its flow hears of nothing."""

from __future__ import annotations

from typing import Any

import pytest

from scfm.calls.find_call import FoundCall
from scfm.calls.flow_turn import HANG_UP, FlowTurn
from scfm.twiml.flow import FlowSettings
from tests.flows.odd_flows import Tally

CALL = {
    "_id": 1,
    "msisdn": "+1",
    "remote_call_id": "CA1",
    "status": "in_progress",
    "contact_id": None,
    "metadata": {},
}


def answer(machine: str | None, details: dict[str, str], **call: Any) -> str:
    """The TwiML for a request of a call whose plan says MACHINE."""
    plan = None if machine is None else {"audience": {}, "answering_machine": machine}
    callout = {"_id": 1, "metadata": {}, "plan": plan}
    event = {"_id": 1, "details": details, "remote_direction": "outbound-api"}
    turn = FlowTurn(Tally, FlowSettings(), "https://a.example")
    return turn.take_turn(FoundCall({**CALL, **call}, None, callout), event).answer


MACHINE = {"AnsweredBy": "machine_start"}


@pytest.mark.parametrize("machine", ["hang_up", "retry"])
def test_a_machine_is_hung_up_on(machine: str) -> None:
    assert HANG_UP.endswith("<Response><Hangup /></Response>")
    assert answer(machine, MACHINE) == HANG_UP
    assert answer(machine, {"AnsweredBy": "fax"}) == HANG_UP
    assert answer(machine, {}, answered_by="machine_end_beep") == HANG_UP


@pytest.mark.parametrize("machine", ["play", None])
def test_a_plan_that_plays_and_a_call_without_a_plan_speak_to_machines(machine: str | None) -> None:
    assert "nothing" in answer(machine, MACHINE)


@pytest.mark.parametrize(
    ("details", "call"),
    [
        ({"AnsweredBy": "human"}, {}),
        ({"AnsweredBy": "unknown"}, {}),
        ({}, {}),
        ({**MACHINE, "Digits": "1"}, {}),
        (MACHINE, {"_person": True}),
        (MACHINE, {"answered_by": "human"}),
    ],
)
def test_a_person_hears_the_flow(details: dict[str, str], call: dict[str, Any]) -> None:
    assert answer("hang_up", details, **call) != HANG_UP


def test_a_report_of_a_call_that_is_over_ends_nothing() -> None:
    assert answer("hang_up", {**MACHINE, "CallbackSource": "call-progress-events"}) != HANG_UP

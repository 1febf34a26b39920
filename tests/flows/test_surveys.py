"""The two surveys: every arrow of their tables, whole paths written out by hand, and the exact TwiML."""

from __future__ import annotations

from typing import Any

import pytest

from scfm.twiml.avf_capom import CapomLong, CapomShort
from scfm.twiml.flow import CallView, ContactView, FlowSettings, Turn, answer
from scfm.twiml.survey import ANY, Survey

BASE = "https://s3-ap-southeast-1.amazonaws.com/scfm.unicef.io/call_flow_logic/avf_capom"
URL = "https://alerts.example.org/api/remote_phone_call_events"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def turn(memory: dict[str, Any], event: int = 1, settings: FlowSettings | None = None, **details: str) -> Turn:
    return Turn(
        event_id=event,
        url=URL,
        details=details,
        call=CallView(id=1, msisdn="+252662345678", direction="outbound-api"),
        contact=ContactView(id=1, msisdn="+252662345678"),
        settings=settings or FlowSettings(),
        contact_memory=memory,
    )


def step(survey: type[Survey], memory: dict[str, Any], event: int = 1, **details: str) -> tuple[str, Any]:
    """The TwiML of one turn, without the declaration, and the memory after it."""
    now = turn(memory, event, **details)
    return answer(survey, now).removeprefix(DECLARATION), now.contact_memory


def play(name: str) -> str:
    return f"<Play>{BASE}/{name}.wav</Play>"


def gather(name: str, keys: int = 1, misunderstood: bool = False) -> str:
    sorry = play("did_not_understand_response") if misunderstood else ""
    return f'<Response><Gather numDigits="{keys}">{sorry}{play(name)}</Gather></Response>'


SURVEYS = (CapomShort, CapomLong)

# What is pressed, and the state that it leads to; "" is a webhook without keys. Written from the description of
# the surveys, not from the tables.
NOT_RECEIVED = [
    ("", "playing_introduction"),
    ("", "gathering_received_transfer"),
    ("2", "recording_transfer_not_received_reason"),
    ("", "playing_transfer_not_received_exit_message"),
    ("", "finished"),
    ("", "finished"),
    ("1", "finished"),
]
SHORT_WITH_FEE = [
    ("", "playing_introduction"),
    ("", "gathering_received_transfer"),
    ("1", "gathering_fee_paid"),
    ("1", "gathering_fee_paid_amount"),
    ("250", "recording_goods_purchased"),
    ("", "gathering_safe_at_venue"),
    ("1", "playing_completed_survey_message"),
    ("", "finished"),
]
SHORT_WITHOUT_FEE = [
    *SHORT_WITH_FEE[:3],
    ("2", "recording_goods_purchased"),
    ("", "gathering_safe_at_venue"),
    ("2", "playing_completed_survey_message"),
    ("", "finished"),
]
LONG_WITH_ALL_AMOUNTS = [
    ("", "playing_introduction"),
    ("", "gathering_received_transfer"),
    ("1", "gathering_received_transfer_amount"),
    ("500", "gathering_paid_for_transport"),
    ("1", "gathering_paid_for_transport_amount"),
    ("20", "gathering_safe_at_venue"),
    ("1", "gathering_fee_paid"),
    ("1", "gathering_fee_paid_amount"),
    ("9", "recording_goods_purchased"),
    ("", "gathering_item_availability"),
    ("1", "gathering_idp_status"),
    ("1", "gathering_water_availability"),
    ("120", "gathering_sickness"),
    ("1", "gathering_preferred_transfer_modality"),
    ("1", "playing_completed_survey_message"),
    ("", "finished"),
]
LONG_WITHOUT_AMOUNTS = [
    *LONG_WITH_ALL_AMOUNTS[:3],
    ("0", "gathering_paid_for_transport"),
    ("2", "gathering_safe_at_venue"),
    ("2", "gathering_fee_paid"),
    ("2", "recording_goods_purchased"),
    ("", "gathering_item_availability"),
    ("2", "gathering_idp_status"),
    ("2", "gathering_water_availability"),
    ("*", "gathering_sickness"),
    ("2", "gathering_preferred_transfer_modality"),
    ("2", "playing_completed_survey_message"),
    ("", "finished"),
]
PATHS = [
    (CapomShort, NOT_RECEIVED),
    (CapomShort, SHORT_WITH_FEE),
    (CapomShort, SHORT_WITHOUT_FEE),
    (CapomLong, NOT_RECEIVED),
    (CapomLong, LONG_WITH_ALL_AMOUNTS),
    (CapomLong, LONG_WITHOUT_AMOUNTS),
]


@pytest.mark.parametrize(("survey", "path"), PATHS)
def test_a_caller_is_led_along_the_described_path(survey: type[Survey], path: list[tuple[str, str]]) -> None:
    memory: dict[str, Any] = {}
    for event, (pressed, state) in enumerate(path, 1):
        _, memory = step(survey, memory, event, **({"Digits": pressed} if pressed else {}))
        assert memory["status"] == state


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_described_paths_visit_every_state(survey: type[Survey]) -> None:
    visited = {state for of, path in PATHS if of is survey for _, state in path}
    assert visited | {"initialized"} == set(survey.arrows)


def arrows() -> list[tuple[type[Survey], str, str, str]]:
    """Every arrow of both tables, as (survey, state, keys, next state)."""
    found = []
    for survey in SURVEYS:
        for state, targets in survey.arrows.items():
            if isinstance(targets, str):
                found += [(survey, state, keys, targets) for keys in ("", "1", "7")]
            else:
                found += [(survey, state, "375" if keys == ANY else keys, to) for keys, to in targets.items()]
    return found


@pytest.mark.parametrize(("survey", "state", "keys", "target"), arrows())
def test_every_arrow_is_taken_and_remembered(survey: type[Survey], state: str, keys: str, target: str) -> None:
    _, memory = step(survey, {"status": state}, event=41, **({"Digits": keys} if keys else {}))
    assert memory == {"status": target, f"transitioned_to_{target}_by": 41}


def questions() -> list[tuple[type[Survey], str]]:
    return [(s, state) for s in SURVEYS for state in s.arrows if state.startswith("gathering_")]


@pytest.mark.parametrize(("survey", "state"), questions())
@pytest.mark.parametrize("details", [{}, {"Digits": ""}, {"SpeechResult": "one"}])
def test_a_question_without_an_answer_is_repeated(survey: type[Survey], state: str, details: dict[str, str]) -> None:
    text, memory = step(survey, {"status": state}, **details)
    assert text == gather(state, survey.digits.get(state, 1), misunderstood=True)
    assert memory == {"status": state}


@pytest.mark.parametrize(("survey", "state"), questions())
def test_an_answer_that_fits_no_arrow_repeats_the_question(survey: type[Survey], state: str) -> None:
    takes_any = ANY in survey.arrows[state]
    for pressed in ("3", "12", "0", "#"):
        text, memory = step(survey, {"status": state}, Digits=pressed)
        assert (memory["status"] == state) is not takes_any
        assert ("did_not_understand_response" in text) is not takes_any


INTRODUCTION = f"<Response>{play('playing_introduction')}<Redirect>{URL}</Redirect></Response>"


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_introduction_is_played_and_goes_on_at_the_same_address(survey: type[Survey]) -> None:
    assert step(survey, {})[0] == INTRODUCTION


THREE_KEYS = {
    "gathering_received_transfer_amount",
    "gathering_paid_for_transport_amount",
    "gathering_fee_paid_amount",
    "gathering_water_availability",
}


@pytest.mark.parametrize(("survey", "state", "keys", "target"), arrows())
def test_the_answer_is_the_twiml_of_the_state_reached(
    survey: type[Survey], state: str, keys: str, target: str
) -> None:
    text, _ = step(survey, {"status": state}, **({"Digits": keys} if keys else {}))
    if target.startswith("gathering_"):
        assert text == gather(target, 3 if target in THREE_KEYS else 1)
    elif target.startswith("recording_"):
        assert text == f"<Response>{play(target)}<Record /></Response>"
    elif target == "playing_introduction":
        assert text == INTRODUCTION
    elif target == "finished":
        assert text == "<Response><Hangup /></Response>"
    else:
        assert text == f"<Response>{play(target)}<Hangup /></Response>"


@pytest.mark.parametrize("survey", SURVEYS)
def test_a_survey_that_is_finished_stays_so_and_hangs_up(survey: type[Survey]) -> None:
    before = {"status": "finished", "transitioned_to_finished_by": 7}
    text, memory = step(survey, before, event=8, Digits="1")
    assert text == "<Response><Hangup /></Response>"
    assert memory == {"status": "finished", "transitioned_to_finished_by": 7}


@pytest.mark.parametrize("survey", SURVEYS)
def test_a_status_callback_answers_no_question(survey: type[Survey]) -> None:
    for state, arrows in survey.arrows.items():
        for status in ("ringing", "completed"):
            text, memory = step(
                survey, {"status": state}, CallbackSource="call-progress-events", CallStatus=status, Digits="1"
            )
            if (status, arrows) != ("completed", "finished"):
                assert memory == {"status": state}
            assert "did_not_understand" not in text


@pytest.mark.parametrize("survey", SURVEYS)
def test_a_survey_that_has_said_its_last_is_finished_when_the_call_is_over(survey: type[Survey]) -> None:
    before = {"status": "playing_completed_survey_message"}
    _, memory = step(survey, before, event=7, CallbackSource="call-progress-events", CallStatus="completed")
    assert memory == {"status": "finished", "transitioned_to_finished_by": 7}


def test_a_status_callback_that_comes_first_finds_no_response() -> None:
    text, memory = step(CapomShort, {}, CallbackSource="call-progress-events", CallStatus="ringing")
    assert text == "<Response><Say>Sorry. The application has no response. Goodbye.</Say></Response>"
    assert memory == {}


@pytest.mark.parametrize(("survey", "state", "keys", "target"), arrows())
def test_one_event_handled_twice_makes_one_step(survey: type[Survey], state: str, keys: str, target: str) -> None:
    details = {"Digits": keys} if keys else {}
    first, memory = step(survey, {"status": state}, event=9, **details)
    again, after = step(survey, dict(memory), event=9, **details)
    assert (again, after) == (first, memory)


@pytest.mark.parametrize("status", ["gone", "", None, 5, ["finished"], {"a": 1}])
def test_a_state_that_is_not_known_begins_at_the_beginning(status: object) -> None:
    text, memory = step(CapomShort, {"status": status})
    assert memory["status"] == "playing_introduction"
    assert text == INTRODUCTION


def test_a_state_of_the_long_survey_is_not_known_to_the_short_one() -> None:
    _, memory = step(CapomShort, {"status": "gathering_sickness"}, Digits="1")
    assert memory["status"] == "playing_introduction"


def test_what_else_is_in_the_memory_is_kept() -> None:
    _, memory = step(CapomShort, {"note": {"by": "Alice"}}, event=3)
    assert memory == {
        "note": {"by": "Alice"},
        "status": "playing_introduction",
        "transitioned_to_playing_introduction_by": 3,
    }


def test_the_settings_say_where_files_are_and_how_long_to_wait() -> None:
    settings = FlowSettings("https://files.example.org/so", ".mp3", 12)
    now = turn({"status": "playing_introduction"}, settings=settings)
    assert answer(CapomShort, now) == (
        f'{DECLARATION}<Response><Gather numDigits="1" timeout="12">'
        "<Play>https://files.example.org/so/gathering_received_transfer.mp3</Play></Gather></Response>"
    )


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_arrow_leads_to_a_state_of_the_survey(survey: type[Survey]) -> None:
    for targets in survey.arrows.values():
        assert set([targets] if isinstance(targets, str) else targets.values()) <= set(survey.arrows)

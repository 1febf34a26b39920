"""The worked examples do what docs/writing-a-flow.md says, and are the ones that it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import flows
from examples.flows import AlertHotline, FloodWarning, WaterSurvey
from scfm.twiml.flow import CallView, ContactView, Turn, answer
from scfm.twiml.registry import Registry
from scfm.twiml.rehearsal import rehearse

GUIDE = Path(__file__).parents[2] / "docs" / "writing-a-flow.md"


def status_callback(memory: dict[str, object]) -> Turn:
    return Turn(
        9,
        "https://a.example",
        {"CallbackSource": "call-progress-events"},
        CallView(1, "+252662345678", "outbound-api"),
        ContactView(1, "+252662345678"),
        call_memory=dict(memory),
    )


def test_a_flood_warning_notes_who_is_safe() -> None:
    call = rehearse(FloodWarning, digits=["1"], callout={"message": "The Mekong is rising."})
    assert call.said("Flood warning. The Mekong is rising. Press 1 if you are safe.")
    assert call.said("You are safe.")
    assert call.contact_memory == {"safe": True}
    assert call.ending == "The flow hung up."


def test_a_flood_warning_is_given_three_times_and_no_more() -> None:
    call = rehearse(FloodWarning, digits=["", "7", ""])
    assert len(call.turns) == 4
    assert call.said("We will call again.")
    assert call.contact_memory == {}
    assert call.call_memory == {"warned": 3}


def test_a_status_callback_is_no_warning() -> None:
    turn = status_callback({"warned": 1})
    answer(FloodWarning, turn)
    assert turn.call_memory == {"warned": 1}


def test_a_water_survey_thanks_whoever_has_clean_water() -> None:
    call = rehearse(WaterSurvey, digits=["1"])
    assert call.said("Is your water clean?")
    assert call.said("Thank you.")
    assert "recording" not in call.contact_memory


def test_a_water_survey_records_what_is_wrong() -> None:
    call = rehearse(WaterSurvey, ["press 5", "press 2", "record 12"])
    assert call.said("Sorry, we did not understand.")
    assert call.contact_memory["recording"] == "https://scfm.example/recordings/RE1"
    assert call.contact_memory["status"] == "playing_thanks"
    assert call.said("Thank you.")


def test_a_hotline_plays_the_newest_alert_of_the_callers_district() -> None:
    call = rehearse(AlertHotline, inbound=True, contact={"district": "Kampong Cham"})
    assert call.played("/alerts/Kampong%20Cham/newest.wav")


def test_a_hotline_asks_a_caller_of_no_known_district_and_remembers() -> None:
    first = rehearse(AlertHotline, inbound=True, digits=["2"])
    assert first.said("Press 1 if you live in Kandal")
    assert first.played("/alerts/takeo/newest.wav")
    again = rehearse(AlertHotline, inbound=True, contact_memory=first.contact_memory)
    assert again.played("/alerts/takeo/newest.wav")
    assert len(again.turns) == 1


def test_a_hotline_says_goodbye_to_a_caller_who_presses_nothing() -> None:
    assert rehearse(AlertHotline, inbound=True, digits=[""]).said("Please call again.")


def test_the_examples_can_be_registered() -> None:
    paths = ",".join(f"examples.flows:{name}" for name in ("FloodWarning", "WaterSurvey", "AlertHotline"))
    assert Registry.from_setting(paths).names[2:] == ("FloodWarning", "WaterSurvey", "AlertHotline")


@pytest.mark.parametrize("name", ["FloodWarning", "WaterSurvey", "AlertHotline"])
def test_the_guide_prints_the_example_as_it_is(name: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    source = Path(flows.__file__).read_text(encoding="utf-8")
    (block,) = [block for block in blocks if block.startswith(f"class {name}(")]
    assert block.strip() in source

"""The two surveys that are classes (``avf_capom``), written as definitions that play the same files."""

from __future__ import annotations

from typing import Any, cast

from scfm.twiml.definition import Definition
from scfm.twiml.definition_flow import definition_flow
from scfm.twiml.flow import FlowSettings

FILES = FlowSettings()
SORRY = "did_not_understand_response"
# Besides 1 and 2; # ends an answer, so that alone it is silence.
WRONG_KEYS = "03456789*"


def play(*names: str) -> dict[str, list[str]]:
    return {"so": [f"{FILES.play_file_base_url}/{name}{FILES.play_file_extension}" for name in names]}


def choice(name: str, one: str, two: str) -> dict[str, Any]:
    """A question of two keys; every other key leads to the same question, after an apology."""
    again = f"{name}_again"
    menu = {"digits": {"1": one, "2": two, **dict.fromkeys(WRONG_KEYS, again)}}
    return {
        name: {"play": play(name), "menu": menu},
        again: {"play": play(SORRY, name), "menu": menu},
    }


def amount(name: str, then: str) -> dict[str, Any]:
    return {name: {"play": play(name), "ask": {"as": name, "max_digits": 3, "next": then}}}


def recording(name: str, then: str) -> dict[str, Any]:
    return {name: {"play": play(name), "record": {"as": name}, "next": then}}


def message(name: str) -> dict[str, Any]:
    return {name: {"play": play(name), "hang_up": True}}


COMMON: dict[str, Any] = {
    "playing_introduction": {"play": play("playing_introduction"), "next": "gathering_received_transfer"},
    **recording("recording_transfer_not_received_reason", "playing_transfer_not_received_exit_message"),
    **message("playing_transfer_not_received_exit_message"),
    **choice("gathering_fee_paid", "gathering_fee_paid_amount", "recording_goods_purchased"),
    **amount("gathering_fee_paid_amount", "recording_goods_purchased"),
    **message("playing_completed_survey_message"),
}
SHORT: dict[str, Any] = {
    **COMMON,
    **choice("gathering_received_transfer", "gathering_fee_paid", "recording_transfer_not_received_reason"),
    **recording("recording_goods_purchased", "gathering_safe_at_venue"),
    **choice("gathering_safe_at_venue", "playing_completed_survey_message", "playing_completed_survey_message"),
}
LONG: dict[str, Any] = {
    **COMMON,
    **choice(
        "gathering_received_transfer",
        "gathering_received_transfer_amount",
        "recording_transfer_not_received_reason",
    ),
    **amount("gathering_received_transfer_amount", "gathering_paid_for_transport"),
    **choice("gathering_paid_for_transport", "gathering_paid_for_transport_amount", "gathering_safe_at_venue"),
    **amount("gathering_paid_for_transport_amount", "gathering_safe_at_venue"),
    **choice("gathering_safe_at_venue", "gathering_fee_paid", "gathering_fee_paid"),
    **recording("recording_goods_purchased", "gathering_item_availability"),
    **choice("gathering_item_availability", "gathering_idp_status", "gathering_idp_status"),
    **choice("gathering_idp_status", "gathering_water_availability", "gathering_water_availability"),
    **amount("gathering_water_availability", "gathering_sickness"),
    **choice("gathering_sickness", "gathering_preferred_transfer_modality", "gathering_preferred_transfer_modality"),
    **choice(
        "gathering_preferred_transfer_modality",
        "playing_completed_survey_message",
        "playing_completed_survey_message",
    ),
}


def survey(steps: dict[str, Any]) -> Definition:
    return cast(Definition, {"languages": ["so"], "start": "playing_introduction", "steps": steps})


SHORT_DEFINITION, LONG_DEFINITION = survey(SHORT), survey(LONG)
SHORT_SURVEY = definition_flow("CapomShort", SHORT_DEFINITION, 1, {})
LONG_SURVEY = definition_flow("CapomLong", LONG_DEFINITION, 1, {})

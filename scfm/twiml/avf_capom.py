"""The two surveys on how cash assistance reached people (CAPOM), as tables."""

from __future__ import annotations

from scfm.twiml.survey import ANY, FINISHED, INITIALIZED, Arrows, Survey

# How both surveys begin when the transfer did not arrive, and how both end.
_COMMON: Arrows = {
    INITIALIZED: "playing_introduction",
    "playing_introduction": "gathering_received_transfer",
    "recording_transfer_not_received_reason": "playing_transfer_not_received_exit_message",
    "playing_transfer_not_received_exit_message": FINISHED,
    "gathering_fee_paid": {"1": "gathering_fee_paid_amount", "2": "recording_goods_purchased"},
    "gathering_fee_paid_amount": {ANY: "recording_goods_purchased"},
    "playing_completed_survey_message": FINISHED,
    FINISHED: {},
}


def _both(target: str) -> dict[str, str]:
    """The arrows of a question whose two answers lead on alike."""
    return {"1": target, "2": target}


class CapomShort(Survey):
    """Was the transfer received, was a fee paid, what was bought, is the venue safe."""

    name = "CallFlowLogic::AvfCapom::CapomShort"
    digits = {"gathering_fee_paid_amount": 3}
    arrows = {
        **_COMMON,
        "gathering_received_transfer": {
            "1": "gathering_fee_paid",
            "2": "recording_transfer_not_received_reason",
        },
        "recording_goods_purchased": "gathering_safe_at_venue",
        "gathering_safe_at_venue": _both("playing_completed_survey_message"),
    }


class CapomLong(Survey):
    """The short survey's questions and more: amounts, transport, availability, water, health, preferences."""

    name = "CallFlowLogic::AvfCapom::CapomLong"
    digits = {
        "gathering_received_transfer_amount": 3,
        "gathering_paid_for_transport_amount": 3,
        "gathering_fee_paid_amount": 3,
        "gathering_water_availability": 3,
    }
    arrows = {
        **_COMMON,
        "gathering_received_transfer": {
            "1": "gathering_received_transfer_amount",
            "2": "recording_transfer_not_received_reason",
        },
        "gathering_received_transfer_amount": {ANY: "gathering_paid_for_transport"},
        "gathering_paid_for_transport": {
            "1": "gathering_paid_for_transport_amount",
            "2": "gathering_safe_at_venue",
        },
        "gathering_paid_for_transport_amount": {ANY: "gathering_safe_at_venue"},
        "gathering_safe_at_venue": _both("gathering_fee_paid"),
        "recording_goods_purchased": "gathering_item_availability",
        "gathering_item_availability": _both("gathering_idp_status"),
        "gathering_idp_status": _both("gathering_water_availability"),
        "gathering_water_availability": {ANY: "gathering_sickness"},
        "gathering_sickness": _both("gathering_preferred_transfer_modality"),
        "gathering_preferred_transfer_modality": _both("playing_completed_survey_message"),
    }

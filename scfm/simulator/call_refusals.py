"""Whom the carrier does not call at all: the request is refused, in Twilio's words."""

from __future__ import annotations

from scfm.simulator.api_error import ApiError
from scfm.simulator.callee import FORBIDDEN, INVALID_NUMBER, Callee


def refuse(msisdn: str, callee: Callee) -> None:
    """Raises ApiError for a number that is said to be no number, or one that the account may not call."""
    if callee.outcome == INVALID_NUMBER:
        raise ApiError(400, 21211, f"The phone number you are attempting to call, {msisdn}, is not valid.")
    if callee.outcome == FORBIDDEN:
        raise ApiError(400, 21215, f"Account not authorized to call {msisdn}. Geo permissions do not allow it.")

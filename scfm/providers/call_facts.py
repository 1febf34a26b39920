"""What a provider tells of a call beside its status: who answered, for how long, and what went wrong.

Sources: Twilio's pages "Call resource" (StatusCallback) and "Answering Machine Detection" (AnsweredBy, also in the
callback of asynchronous detection); SignalWire says ``SipResultCode`` for ``SipResponseCode``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scfm.providers.refusals import Refusal, refusal_of

# By the fact: its names in the form of a webhook, and in the JSON of a call.
ANSWERED_BY = ("AnsweredBy", "answered_by")
DURATION = ("CallDuration", "duration")
ERROR_CODE = ("ErrorCode", "error_code")
SIP_STATUS = ("SipResponseCode", "SipResultCode", "sip_response_code", "sip_result_code")
MAX_WORD = 64
# Of SIP's statuses, those below say that a call goes on or was answered.
FIRST_SIP_FAILURE = 300
_NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is told; None for what is not.

    ``answered_by`` is the provider's word: ``human``, ``machine_start``, ``fax``, ``unknown``… ``duration`` is in
    seconds. ``error_code`` is the provider's, or ``SIP 404`` where it tells a SIP response code alone.
    """

    answered_by: str | None = None
    duration: int | None = None
    error_code: str | None = None
    refusal: Refusal | None = None


def call_facts(told: Mapping[str, Any]) -> CallFacts:
    """The facts in the form of a webhook, or in the JSON of a call: their names differ."""
    code, sip = _word(told, ERROR_CODE), _number(told, SIP_STATUS)
    if code is not None and not code.strip("0"):
        code = None  # that is how some say that nothing is wrong
    if sip is not None and sip < FIRST_SIP_FAILURE:
        sip = None
    return CallFacts(
        answered_by=_word(told, ANSWERED_BY),
        duration=_number(told, DURATION),
        error_code=code or (None if sip is None else f"SIP {sip}"),
        refusal=refusal_of(int(code) if code and _NUMBER.match(code) else None, sip),
    )


def is_machine(answered_by: str | None) -> bool:
    """Whether AnsweredBy names no person: ``machine_start``, ``machine_end_beep``…, ``fax``."""
    return answered_by is not None and (answered_by.startswith("machine") or answered_by == "fax")


def _word(told: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = told.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and (word := str(value).strip()):
            return word[:MAX_WORD]
    return None


def _number(told: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    word = _word(told, names)
    return int(word) if word is not None and _NUMBER.match(word) else None

"""What a provider's webhook says of a call, read once, where it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from scfm.calls.caller import msisdn_of
from scfm.calls.sender import Sender
from scfm.errors import Invalid
from scfm.models.call_reports import ReportedStatus, reported_status

INBOUND = "inbound"
NO_DIRECTION = "Remote direction can't be blank"


@dataclass(frozen=True, slots=True)
class CallEvent:
    """A webhook whose signature is good.

    ``sender`` is in whose name it speaks, ``details`` the form as it was sent, ``url`` its own public address, and
    ``token`` what names the delivery, None if nothing does: see deliveries. ``sid`` is the provider's id of the call.
    ``direction`` is '' in a report that asks for no TwiML. ``caller`` is the number of who calls in, in its one form;
    None for a caller without one, and in a report of any other call. ``report`` is what it says of the call's status.
    """

    sender: Sender
    details: Mapping[str, str]
    url: str
    token: str | None
    sid: str
    direction: str
    caller: str | None
    report: ReportedStatus

    @classmethod
    def read(cls, sender: Sender, details: Mapping[str, str], url: str, token: str | None = None) -> Self:
        """The event that a form is. Raises Invalid for one that names no call."""
        sid, direction = details.get("CallSid", ""), details.get("Direction", "")
        if not sid:
            raise Invalid({"base": ["Remote call can't be blank", *([] if direction else [NO_DIRECTION])]})
        caller = None
        if direction == INBOUND and sender.owner is not None:
            caller = msisdn_of(details.get("From", ""), sender.owner.country)
        return cls(sender, details, url, token, sid, direction, caller, reported_status(details))

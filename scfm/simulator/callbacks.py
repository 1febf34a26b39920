"""Status callbacks: what the application is told while a call goes on, and what goes wrong on the way."""

from __future__ import annotations

import time

from scfm.simulator.call import Call, rfc2822
from scfm.simulator.faults import Faults
from scfm.simulator.ledger import Ledger
from scfm.simulator.webhook_client import ApplicationUnreachable, WebhookClient, is_local

CALLBACK_SECONDS = 5.0


class Callbacks:
    """Tells StatusCallback of the events it asked for, in order unless the fault plan says otherwise."""

    def __init__(self, client: WebhookClient, ledger: Ledger, faults: Faults, seed: int) -> None:
        self._client = client
        self._ledger = ledger
        self.faults = faults
        self._seed = seed

    async def tell(self, call: Call, event: str, status: str | None = None) -> None:
        """Send what is due for this event (initiated, ringing, answered, completed). Never fails."""
        if not is_local(call.options.status_callback):
            return
        for parameters in self._due(call, event, status or call.status):
            await self._post(call, parameters)

    def _due(self, call: Call, event: str, status: str) -> list[dict[str, str]]:
        """The callbacks to send now, after the fault plan; one may be held back for later."""
        held, call.held_callback = call.held_callback, None
        due: list[dict[str, str]] = []
        if event in call.options.events:
            parameters = _parameters(call, event, status)
            fault = self.faults.of_callback(self._seed, call.request, call.callbacks)
            call.callbacks += 1
            if fault == "callback_shuffled" and held is None and event != "completed":
                call.held_callback = parameters
                return []
            due = [parameters] * {"callback_lost": 0, "callback_doubled": 2}.get(fault or "", 1)
        elif event != "completed":
            call.held_callback, held = held, None
        return due if held is None else [*due, held]

    async def tell_answered_by(self, call: Call, seconds: float) -> None:
        """Send what has answered, which took so many SECONDS to find out. Never fails.

        https://www.twilio.com/docs/voice/answering-machine-detection: it has no CallStatus, and no Direction.
        """
        if not is_local(call.options.async_amd_callback):
            return
        parameters = {
            "AccountSid": call.account_sid,
            "AnsweredBy": call.answered_by or "unknown",
            "CallSid": call.sid,
            "MachineDetectionDuration": str(round(seconds * 1000)),
        }
        await self._post(call, parameters, call.options.async_amd_callback, call.options.async_amd_callback_method)

    async def _post(self, call: Call, parameters: dict[str, str], url: str = "", method: str = "") -> None:
        options, began = call.options, time.monotonic()
        try:
            answer = await self._client.send(
                call,
                url or options.status_callback,
                method or options.status_callback_method,
                parameters,
                CALLBACK_SECONDS,
            )
            outcome = str(answer.status)
        except ApplicationUnreachable as error:
            outcome = str(error)
        self._ledger.add_callback(call, parameters, outcome, time.monotonic() - began)


def _parameters(call: Call, event: str, status: str) -> dict[str, str]:
    """https://www.twilio.com/docs/voice/api/call-resource#statuscallback"""
    parameters = {
        **call.parameters(),
        "CallStatus": status,
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(call.callbacks),
        "Timestamp": rfc2822(time.time()) or "",
    }
    if event == "completed":
        seconds = call.duration or 0
        parameters |= {"CallDuration": str(seconds), "Duration": str(-(-seconds // 60))}
        if call.sip is not None:
            parameters["SipResponseCode"] = str(call.sip)
    return parameters

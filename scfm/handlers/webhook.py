"""``/api/remote_phone_call_events``: the provider reports on calls, and asks what the caller is to hear."""

from __future__ import annotations

from html import escape

from scfm.calls import deliveries
from scfm.calls.call_event import CallEvent
from scfm.calls.call_lock import call_lock
from scfm.calls.handle_call_event import handle_call_event
from scfm.calls.signed_form import SignedForm
from scfm.calls.webhook_accounts import InvalidSignature
from scfm.errors import BadRequest, Invalid, TooLarge
from scfm.handlers.collection import CollectionHandler
from scfm.handlers.forms import Fields, flat_form, is_form
from scfm.handlers.parameter_limits import Limits
from scfm.runtime.metrics import WEBHOOK_LAST_RECEIVED

TWIML_TYPE = "application/xml; charset=utf-8"
SIGNATURE_REFUSED = "Twilio Request Validation Failed."
# Anybody may send one: the largest that a provider sends has some kilobytes.
MAX_WEBHOOK_BODY = 1 << 16


class RemotePhoneCallEventsHandler(CollectionHandler):
    """``GET`` is a list like any other; ``POST`` is the provider's."""

    counts_for_address = False

    @property
    def _max_body_size(self) -> int:
        return min(MAX_WEBHOOK_BODY, super()._max_body_size)

    async def admit(self) -> None:
        if self.request.method != "POST":
            await super().admit()

    async def post(self) -> None:
        details: dict[str, str] = {}
        try:
            fields = self._fields()
            details = {name: values[-1] for name, values in fields.items()}
            url, headers = self._public_url(), self.request.headers
            signature = headers.get("X-Twilio-Signature") or headers.get("X-SignalWire-Signature", "")
            form = SignedForm(url, fields, signature)
            sender = await self.app.webhook_accounts.verify(details.get("AccountSid", ""), form)
            WEBHOOK_LAST_RECEIVED.set_to_current_time()
            token = deliveries.token_key(headers.get("I-Twilio-Idempotency-Token", ""))
            event = CallEvent.read(sender, details, url, token)
            async with call_lock(event.sid):
                with self.app.request_tracker.webhook():
                    answer = await handle_call_event(self.app.store, self.app.flows, event)
        except InvalidSignature as refused:
            self._log_refused(403, str(refused), details)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.set_status(403)
            self.write_entity(SIGNATURE_REFUSED.encode())
        except Invalid as invalid:
            messages = [message for of_field in invalid.errors.values() for message in of_field]
            self._log_refused(422, "; ".join(messages), details)
            errors = "".join(f"<error>{escape(message, quote=False)}</error>" for message in messages)
            self._answer_xml(422, f'<?xml version="1.0" encoding="UTF-8"?><errors>{errors}</errors>')
        except BadRequest as error:
            self._log_refused(400, str(error) or "its form cannot be read", details)
            raise
        except TooLarge:
            self._log_refused(413, "its body is too large", details)
            raise
        else:
            self._answer_xml(201, answer)

    def _answer_xml(self, status: int, body: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", TWIML_TYPE)
        self.write_entity(body.encode("utf-8", "replace"))

    def _log_refused(self, status: int, reason: str, details: dict[str, str]) -> None:
        self.app.webhook_rejections.record(status, reason, details, self._public_url())

    def _fields(self) -> Fields:
        if self.size > self._max_body_size:
            raise TooLarge
        content_type = self.request.headers.get("Content-Type", "")
        if not is_form(content_type):
            raise InvalidSignature("its body is no form")
        return flat_form(bytes(self.content), content_type, Limits(body=self._max_body_size))

    def _public_url(self) -> str:
        """The URL that the provider used, as far as we can tell."""
        if self.app.settings.public_url:
            return self.app.settings.public_url + self.request.uri
        return self.request.full_url()

"""The parameters of the request that places a call: as stored, and this server's webhook where they name none."""

from __future__ import annotations

from scfm.storage.query import Document

WEBHOOK_PATH = "/api/remote_phone_call_events"
# Each of these tells the provider what to do when somebody answers.
INSTRUCTIONS = ("url", "twiml", "application_sid")


def sent_params(stored: Document, public_url: str) -> Document:
    """The STORED ``remote_request_params`` as they are sent; PUBLIC_URL is the server's setting, perhaps ''.

    A default goes with POST, whatever method the client gave for the URL that it did not give.
    """
    if not public_url:
        return stored
    webhook, sent = f"{public_url}{WEBHOOK_PATH}", stored
    if all(stored.get(name) is None for name in INSTRUCTIONS):
        sent = {**sent, "url": webhook, "method": "POST"}
    if stored.get("status_callback") is None:
        sent = {**sent, "status_callback": webhook, "status_callback_method": "POST"}
    return sent

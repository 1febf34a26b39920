"""What is stored of a call and of what it belongs to: the fields that clients see, and the hidden ones.

What an older version stored may lack any of those that came later, so all of them are optional to the type checker.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

from scfm.models.call_work import CallWork, HangUp


class StoredDocument(TypedDict, total=False):
    """What every document has. ``_version`` counts its changes; ``_turns`` are the events whose turns it has.

    ``_turns`` are ids: see ``calls/deliveries.py``.
    """

    _id: int
    account_id: int
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    _version: int
    _turns: list[int]


class ContactDocument(StoredDocument, total=False):
    """A contact."""

    msisdn: str


class CalloutDocument(StoredDocument, total=False):
    """A callout. ``plan`` is as the schema ``plan`` has it."""

    call_flow_logic: str | None
    status: str
    plan: dict[str, Any] | None


class ParticipationDocument(StoredDocument, total=False):
    """A participation in a callout. ``answers`` are those of its person, by name.

    ``_acknowledged`` and ``_opted_out``: when the person did so. ``_settle``: see ``outcome``. ``_number``: see
    ``renumbering``.
    """

    callout_id: int
    contact_id: int
    msisdn: str
    call_flow_logic: str | None
    answers: dict[str, Any]
    _acknowledged: datetime
    _opted_out: datetime
    _settle: int
    _number: str | None


class PhoneCallDocument(StoredDocument, total=False):
    """A phone call. ``call_work`` describes what is hidden, but for ``_number``: see ``renumbering``."""

    callout_participation_id: int | None
    contact_id: int | None
    callout_id: int | None
    create_batch_operation_id: int | None
    queue_batch_operation_id: int | None
    queue_remote_fetch_batch_operation_id: int | None
    status: str
    msisdn: str
    remote_call_id: str | None
    remote_status: str | None
    remote_direction: str | None
    remote_error_message: str | None
    remote_response: dict[str, Any]
    remote_request_params: dict[str, Any]
    remote_queue_response: dict[str, Any]
    call_flow_logic: str | None
    remotely_queued_at: datetime | None
    answered_by: str | None
    duration: int | None
    error_code: str | None
    _work: CallWork
    _lane: int
    _rank: int
    _check: datetime
    _fetch_from: str
    _sequence: int
    _person: bool
    _hang_up: HangUp
    _number: str | None


class DeliveryDocument(TypedDict):
    """What the event of a delivery keeps of it: see ``calls/deliveries.py``.

    ``token`` names it, and it came at ``at``. ``answer`` is the TwiML of its turn, ``changes`` are the collections in
    which the turn changes a document, ``before`` the call's memory before it, if it changes more than one,
    ``versions`` those of the documents that it was taken on, by collection, and ``replies`` what the person has
    replied. ``saved``: collections in which the turn is saved though the document does not say so any more.
    """

    token: str
    at: datetime
    answer: str
    changes: list[str]
    before: dict[str, Any] | None
    versions: dict[str, int]
    replies: dict[str, Any]
    saved: list[str]


class EventDocument(StoredDocument, total=False):
    """A remote phone call event. ``details`` is the form of the webhook."""

    phone_call_id: int
    callout_participation_id: int | None
    contact_id: int | None
    callout_id: int | None
    details: dict[str, str]
    remote_call_id: str
    remote_direction: str | None
    call_flow_logic: str
    _delivery: DeliveryDocument

"""What is stored of a call and of what it belongs to: the fields that clients see, and the hidden ones.

What an older version stored may lack any of those that came later, so all of them are optional to the type checker.
JSON of any shape is ``dict[str, object]``: were ``Any`` in it, mypy could not tell by the name of a collection what
is read there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypedDict

from scfm.models.batch_operations.operation import Operation
from scfm.models.call_work import CallWork, CancelReason, HangUp
from scfm.models.callout_run import CalloutRun
from scfm.storage.query import CollectionName


class StoredDocument(TypedDict, total=False):
    """What every document has. ``_version`` counts its changes; ``_turns`` are the events whose turns it has.

    ``_turns`` are ids: see ``calls/deliveries.py``. ``_deleting``: see ``references``. ``_request_id``: see
    ``runtime/log_context.py``.
    """

    _id: int
    account_id: int
    metadata: dict[str, object]
    created_at: datetime
    updated_at: datetime
    _version: int
    _turns: list[int]
    _deleting: dict[str, object]
    _request_id: str


class FormerNumber(TypedDict):
    """A number that a contact had until ``at``."""

    msisdn: str
    at: datetime


# ``from``: the numbers that the contact had, the oldest first. ``token``: which change was the last. ``due``: when to
# look again. ``open``: what had a former number when it was changed may have it still.
Renumbered = TypedDict(
    "Renumbered", {"from": list[FormerNumber], "token": str, "due": datetime, "open": bool}, total=False
)


class ContactDocument(StoredDocument, total=False):
    """A contact. ``_renumbered``: its number has changed a short while ago, see ``renumbering``."""

    msisdn: str
    _renumbered: Renumbered


class PlanDocument(TypedDict, total=False):
    """A plan as the schema ``plan`` has it, with its defaults: see ``plan``. Its times are RFC 3339."""

    audience: dict[str, object]
    remote_request_params: dict[str, object]
    retry: dict[str, object]
    window: dict[str, object] | None
    starts_at: str | None
    not_after: str | None
    priority: int
    calls_per_second: float | None
    calls_in_flight: int | None
    answering_machine: str
    acknowledge: bool
    inline_twiml: bool
    emergency: dict[str, str] | None


class CalloutDocument(StoredDocument, total=False):
    """A callout. ``_approved``: see ``plan_approval``. ``_numbers`` and ``_strays_known``: see ``renumbering``."""

    call_flow_logic: str | None
    status: str
    plan: PlanDocument | None
    completed_at: datetime | None
    approval: dict[str, object] | None
    _approved: dict[str, object]
    _run: CalloutRun
    _started_at: datetime
    _hang_up: HangUp
    _numbers: str
    _strays_known: bool


class CallFigures(TypedDict):
    """One call of a participation, for statistics.

    ``placed``: the minute in which the provider has accepted it, null where it has not. ``duration``: seconds.
    """

    status: str
    placed: datetime | None
    answered: bool
    duration: int | None


class ParticipationDocument(StoredDocument, total=False):
    """A participation in a callout. ``answers`` are those of its person, by name.

    From ``outcome`` on: see ``participation_outcome``, which derives them. ``_acknowledged`` and ``_opted_out``: when
    the person did so. ``_settle`` and ``_outcome_version``: see ``outcome``. ``_number``: see ``renumbering``.
    ``_erased``: see ``erased``.
    """

    _erased: bool
    callout_id: int
    contact_id: int
    callout_population_id: int | None
    msisdn: str
    call_flow_logic: str | None
    answers: dict[str, object]
    outcome: str
    outcome_reason: str | None
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    _due: datetime
    _attempt: int
    _first_attempt_at: datetime
    _duration: int
    _calls: list[CallFigures]
    _outcome_version: int
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
    _erased: bool
    msisdn: str
    remote_call_id: str | None
    remote_status: str | None
    remote_direction: str | None
    remote_error_message: str | None
    remote_response: dict[str, object]
    remote_request_params: dict[str, object]
    remote_queue_response: dict[str, object]
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
    _refusal: str
    _canceled_for: CancelReason
    _ended: datetime
    _may_have_rung: bool
    _attempt: int
    _settle: int
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
    before: dict[str, object] | None
    versions: dict[str, int]
    replies: dict[str, object]
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


class OptOutDocument(StoredDocument, total=False):
    """A number that is opted out. ``_settle_from``: see ``opt_out``."""

    msisdn: str
    reason: str | None
    source: str
    _settle_from: datetime


# What a view reads of these collections has these types.
CALLS: Final = CollectionName[PhoneCallDocument]("phone_calls")
PARTICIPATIONS: Final = CollectionName[ParticipationDocument]("callout_participations")
OPERATIONS: Final = CollectionName[Operation]("batch_operations")
CALLOUT_COLLECTION: Final = CollectionName[CalloutDocument]("callouts")
CONTACT_COLLECTION: Final = CollectionName[ContactDocument]("contacts")
OPT_OUT_COLLECTION: Final = CollectionName[OptOutDocument]("opt_outs")
EVENT_COLLECTION: Final = CollectionName[EventDocument]("remote_phone_call_events")

"""Every resource there is."""

from __future__ import annotations

from collections.abc import Mapping

from scfm.models import audio_content, audio_recording, idempotency, references
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS
from scfm.models.audio_file import AUDIO_FILES
from scfm.models.audit_event import AUDIT_EVENTS
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.call_flow import CALL_FLOWS
from scfm.models.call_flow_version import VERSION_COLLECTION, VERSION_INDEXES
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.doomed_recording import DOOMED_RECORDING_INDEXES, DOOMED_RECORDINGS
from scfm.models.erasure_record import ERASURE_INDEXES, ERASURES
from scfm.models.opt_out import OPT_OUTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.resource import Resource
from scfm.models.session import SESSION_INDEXES, SESSIONS
from scfm.models.sign_in import SIGN_IN_FAILURES
from scfm.models.stored_secrets import Shown
from scfm.models.user import USERS
from scfm.models.webhook_delivery import WEBHOOK_DELIVERIES
from scfm.models.webhook_endpoint import WEBHOOK_ENDPOINTS
from scfm.storage.counted_fields import CountedFields
from scfm.storage.grid_files import GRID_INDEXES
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.recent_marks import RECENT_MARKS_INDEX

RESOURCES: tuple[Resource, ...] = (
    ACCOUNTS,
    ACCESS_TOKENS,
    USERS,
    CONTACTS,
    CALLOUTS,
    BATCH_OPERATIONS,
    CALLOUT_PARTICIPATIONS,
    PHONE_CALLS,
    REMOTE_PHONE_CALL_EVENTS,
    OPT_OUTS,
    CALL_FLOWS,
    AUDIO_FILES,
    AUDIT_EVENTS,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_DELIVERIES,
)

# By the name of the idempotent request that created a document. An account belongs to no account.
_BY_REQUEST: Document = {"_request": {"$gt": ""}}
REQUEST_INDEX = Index("account_id", "_request", name="unique_account_id_request", unique=True, only=_BY_REQUEST)
ACCOUNTS_REQUEST_INDEX = Index("_request", name="unique_request", unique=True, only=_BY_REQUEST)

# Indexes that older versions made. A sid is a name that several accounts may write down; what is unique begins with
# the account now (docs/decisions/0012); and calls wait by their rank, too.
OBSOLETE_INDEXES: dict[str, tuple[str, ...]] = {
    **{resource.collection: ("unique_request",) for resource in RESOURCES if resource.tenant},
    "accounts": ("unique_twilio_account_sid", "unique_somleng_account_sid"),
    "callout_participations": ("unique_request", "unique_callout_id_contact_id", "unique_callout_id_msisdn", "due"),
    "phone_calls": ("unique_request", "unique_create_batch_operation_id_callout_participation_id", "work"),
}


def indexes() -> dict[str, list[Index]]:
    """By collection, every index that the resources need."""
    of_resources = {
        resource.collection: [
            *(unique.index for unique in resource.unique),
            *resource.indexes,
            REQUEST_INDEX if resource.tenant else ACCOUNTS_REQUEST_INDEX,
            references.DELETING_INDEX,
        ]
        for resource in RESOURCES
    }
    return {
        **of_resources,
        idempotency.COLLECTION: [idempotency.EXPIRY],
        references.DELETIONS: [*references.DELETIONS_INDEXES],
        VERSION_COLLECTION: [*VERSION_INDEXES],
        audio_content.AUDIO_CONTENTS: audio_content.AUDIO_CONTENT_INDEXES,
        audio_recording.AUDIO_RECORDINGS: [*audio_recording.AUDIO_RECORDING_INDEXES],
        SESSIONS: [*SESSION_INDEXES],
        ERASURES: [*ERASURE_INDEXES],
        DOOMED_RECORDINGS: [*DOOMED_RECORDING_INDEXES],
        SIGN_IN_FAILURES: [RECENT_MARKS_INDEX],
        **GRID_INDEXES,
    }


def counted_fields() -> dict[str, CountedFields]:
    """By collection, what those declare whose totals are remembered."""
    return {resource.collection: resource.counted for resource in RESOURCES if resource.counted is not None}


def sealed_paths() -> dict[str, Mapping[str, Shown]]:
    """By collection, the paths of what is stored sealed, with what is shown of it."""
    return {resource.collection: resource.sealed for resource in RESOURCES if resource.sealed}

"""In which order a backup reads the collections of a server at work, so that what it finds is sound.

A standalone MongoDB has no snapshot that lasts: each collection is read as it is at its time. What tells how far
something is (a callout's run, a batch operation's cursor, an idempotency key, a mark) is written after what it tells
of; so it is read before that, and is never ahead of it: what is missing is made once more, as after a crash. What is
referred to, though, is written before what refers to it. So documents that were made meanwhile are looked for once
more, from the last collection to the first: only those that the first look did not find are taken from there.
See docs/decisions/0025.
"""

from __future__ import annotations

from collections.abc import Collection

from scfm.models import idempotency, references
from scfm.models.audio_content import AUDIO_CONTENTS
from scfm.models.audio_recording import AUDIO_RECORDINGS
from scfm.models.call_flow_version import VERSION_COLLECTION
from scfm.models.registry import RESOURCES
from scfm.storage.database import COUNTERS
from scfm.storage.grid_files import CHUNKS, FILES

# The one document of a restore that is under way or was cut off: it is of no use in a backup.
RESTORES = "restores"
# After what nobody knows, such as a collection of a later version: that may tell how far something is.
_FIRST = (
    idempotency.COLLECTION,
    "audit_events",
    "accounts",
    "users",
    "access_tokens",
    AUDIO_RECORDINGS,
    "audio_files",
    AUDIO_CONTENTS,
    FILES,
    CHUNKS,
    "call_flows",
    VERSION_COLLECTION,
    "opt_outs",
    "contacts",
    "callouts",
    "batch_operations",
    "callout_participations",
    "phone_calls",
    "remote_phone_call_events",
    # What happened leaves its document once its deliveries are there; an endpoint is due once they are.
    "webhook_deliveries",
    "webhook_endpoints",
    references.DELETIONS,
)

KIND_OF_COLLECTION = {resource.collection: resource.kind for resource in RESOURCES}
# What other documents refer to by its id.
REFERRED_TO = frozenset(
    {
        *(reference.collection for resource in RESOURCES for reference in resource.references),
        "accounts",
        "batch_operations",
        "call_flows",
        VERSION_COLLECTION,
    }
)


def read_order(names: Collection[str]) -> list[str]:
    """The collections NAMES in the order in which they are read, without the counters, which are read at the end."""
    unknown = sorted(set(names) - {*_FIRST, COUNTERS, RESTORES})
    return [*unknown, *(name for name in _FIRST if name in names)]


def second_looks(names: Collection[str]) -> list[tuple[str, str | None]]:
    """The collections in which documents that were made meanwhile are looked for, in that order, with their kinds.

    Of one without a kind, whose ids tell nothing, all documents are read again.
    """
    return [(name, KIND_OF_COLLECTION.get(name)) for name in reversed(read_order(names)) if name in REFERRED_TO]

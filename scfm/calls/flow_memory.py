"""What call flows remember: it lives in the metadata of the call and of its contact.

A turn that is saved leaves its event's id in the document (``_turns``), in the same write, if its webhook may be
delivered again: see deliveries.
"""

from __future__ import annotations

from typing import Any

from scfm.calls import deliveries
from scfm.clock import now
from scfm.models.merge import FLOW_MEMORY, MEMORY_PATH
from scfm.models.stored_documents import StoredDocument
from scfm.storage.compare_and_set import compare_and_set
from scfm.storage.tenant_view import TenantView

Memory = dict[str, Any]


def memory(document: StoredDocument, flow: str) -> Memory:
    """What the flow remembers in the document's metadata."""
    data = document["metadata"].get(FLOW_MEMORY)
    kept = data.get(flow) if isinstance(data, dict) else None
    return kept if isinstance(kept, dict) else {}


async def remember(
    view: TenantView, collection: str, document: StoredDocument, flow: str, new: Memory, event_id: int | None = None
) -> bool:
    """Save what a flow remembers, if nobody else has changed the metadata meanwhile; whether it was saved.

    ``event_id`` is that of the turn, if its webhook may be delivered again.
    """
    if new == memory(document, flow):
        return True
    data = document["metadata"].get(FLOW_MEMORY)
    memories = {**(data if isinstance(data, dict) else {}), flow: new}
    change = {MEMORY_PATH: memories, "updated_at": now()}
    if event_id is not None:
        change[deliveries.TURNS] = await deliveries.turns_with(view, collection, document, event_id)
    return await compare_and_set(view, collection, document, change)


def joined(before: Memory, *after: Memory) -> Memory:
    """One memory of several that began as BEFORE: the changes of each, the last one's where several change a name."""
    new = dict(before)
    for memory in after:
        for name in before.keys() - memory.keys():
            new.pop(name, None)
        new |= {name: value for name, value in memory.items() if name not in before or before[name] != value}
    return new

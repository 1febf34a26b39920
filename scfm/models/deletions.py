"""What has been deleted a short while ago, so that what still refers to it can be removed once more.

A process that dies between storing a reference and looking whether it leads anywhere (see ``TenantView.live_ids``)
may have stored it after the deletion looked for such. By the time a record is due, no request of that time is under
way.
"""

from __future__ import annotations

from datetime import timedelta

from scfm.clock import now
from scfm.storage.index import Index
from scfm.storage.tenant_view import DELETIONS, TenantView

# Far longer than a request takes, even with a database that answers at the last moment.
LATER = timedelta(minutes=5)
# So long after a document was read, a deletion of it since is surely still written down.
REMEMBERED_SECONDS = 120.0
INDEXES = (Index("due"), Index("collection", "number"))
# A document with a mark is looked for among many.
MARKED = Index("_deleting.until", name="deleting", only={"_deleting.until": {"$exists": True}})


async def record(view: TenantView, token: str, collection: str, number: int) -> None:
    """Write down that a document is about to be deleted; TOKEN is that of its mark."""
    deletion = {"account_id": view.account_id, "collection": collection, "number": number}
    await view.add(DELETIONS, {"_id": token, **deletion, "due": now() + LATER})

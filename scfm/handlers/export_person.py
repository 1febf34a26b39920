"""``GET /api/contacts/1/export``: everything that is stored of one person."""

from __future__ import annotations

from scfm.handlers.download import DownloadHandler
from scfm.handlers.parameters import JSON, parse_id
from scfm.models.audit_trail import Subject
from scfm.models.contact import CONTACTS
from scfm.models.stored_documents import CONTACT_COLLECTION
from scfm.privacy.person_export import person_export


class ExportPersonHandler(DownloadHandler):
    """One JSON object, sent as it is made. That it was read is in the audit log."""

    async def get(self, id_text: str) -> None:
        self.parameters()
        view = self.own_scope().view
        contact = await view.get(CONTACT_COLLECTION, parse_id(id_text))
        subject = Subject(CONTACTS.kind, contact["_id"], self.client.account_id)
        await self.download(f"contact-{contact['_id']}.json", JSON, person_export(view, contact), subject)

    head = get

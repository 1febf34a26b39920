"""``GET /api/contacts/fields``: what the contacts' metadata holds, for those who choose among them."""

from __future__ import annotations

from scfm.contacts_bulk.contact_fields import contact_fields, contact_values
from scfm.contacts_bulk.metadata_path import metadata_path
from scfm.handlers.client import ClientHandler
from scfm.models.contact import CONTACTS
from scfm.models.masking import count_numbers, value_shown_to


class ContactFieldsHandler(ClientHandler):
    """The paths in the metadata of the contacts that fit ``q``; with ``path``, the values that they have there."""

    async def get(self) -> None:
        parameters = self.parameters()
        query = await self.filtered(lambda: CONTACTS.query(parameters.get("q"), self.client.country))
        scope = self.own_scope()
        contacts = scope.view.list_of(query)
        if parameters.get("path") is None:
            self.answer(200, {**await contact_fields(contacts)})
        else:
            path = metadata_path("path", parameters["path"])
            found = await contact_values(contacts, path)
            numbers = count_numbers(path, (counted["value"] for counted in found["values"]))
            await self.app.audit.record_numbers_read(scope, CONTACTS, numbers, parameters)
            for counted in found["values"]:
                counted["value"] = value_shown_to(self.role, path, counted["value"])
            self.answer(200, {**found})

    head = get

"""Holds: an account, or the whole server, keeps its calls from leaving until they are released."""

from __future__ import annotations

import logging

from scfm import __version__
from scfm.clock import iso
from scfm.handlers.audit_log import shown_now
from scfm.handlers.client import ClientHandler
from scfm.handlers.hang_up import hang_up_changes
from scfm.handlers.idempotency import idempotent
from scfm.handlers.parameters import parse_id
from scfm.models.account import ACCOUNTS
from scfm.models.audit_trail import Subject
from scfm.models.call_hold import HELD_AT, hold_or_release, server_state
from scfm.storage.query import Document

log = logging.getLogger("scfm.http")


class HoldHandler(ClientHandler):
    """What the handlers of both have in common."""

    async def hold_or_release(self, account_id: int | None, whose: str) -> Document:
        """Carry out the event; from then on no call leaves this process that it holds."""
        parameters = self.parameters()
        event = parameters.get("event")
        hang_up = bool(hang_up_changes(parameters, event == "hold"))
        changed = await hold_or_release(self.app.store.all_tenants, account_id, event, hang_up=hang_up)
        self.app.calls_held_changed(account_id)
        subject = Subject("server" if account_id is None else "account", changed["_id"], account_id)
        await self.own_scope().audit.record(
            subject, str(event), shown_now({HELD_AT: iso(changed[HELD_AT]), "hang_up": hang_up})
        )
        done = f"{event}, and hang up" if hang_up else event
        log.info("calls of %s: %s (account %d)", whose, done, self.client.account_id)
        self.app.wake()
        return changed


class OwnAccountEventsHandler(HoldHandler):
    """``POST /api/account/account_events``: the client's own account."""

    @idempotent
    async def post(self) -> None:
        account_id = self.client.account_id
        account = await self.hold_or_release(account_id, f"account {account_id}")
        self.answer(201, ACCOUNTS.show(account), "/api/account")


class AccountEventsHandler(HoldHandler):
    """``POST /api/accounts/1/account_events``: any account, for super admins."""

    @idempotent
    async def post(self, id_text: str) -> None:
        account_id = parse_id(id_text)
        account = await self.hold_or_release(account_id, f"account {account_id}")
        self.answer(201, ACCOUNTS.show(account), f"/api/accounts/{account_id}")


class ServerHandler(ClientHandler):
    """``GET /api/server``: the whole server, for super admins."""

    async def get(self) -> None:
        self.parameters()
        self.answer(200, shown(await server_state(self.app.store.all_tenants)))

    head = get


class ServerEventsHandler(HoldHandler):
    """``POST /api/server/server_events``: the calls of all accounts, for super admins."""

    @idempotent
    async def post(self) -> None:
        self.answer(201, shown(await self.hold_or_release(None, "all accounts")), "/api/server")


def shown(state: Document) -> Document:
    """The server as a client sees it."""
    return {"version": __version__, HELD_AT: iso(state[HELD_AT])}

"""The audit log as handlers write it: what clients do by their requests, who signs in, and who reads many numbers."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from tornado.httputil import HTTPServerRequest

from scfm.handlers.remote_address import remote_address
from scfm.handlers.repeated import Repeated
from scfm.models.account_setup import first_super_admin
from scfm.models.audit_event import AUDIT_EVENTS
from scfm.models.audit_trail import AuditTrail, Origin, Subject
from scfm.models.audited_change import told_pair
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.resource import Resource
from scfm.models.roles import Role
from scfm.models.scope import Client, Scope
from scfm.models.user import MAX_EMAIL
from scfm.models.webhook_delivery import WEBHOOK_DELIVERIES
from scfm.storage.query import Document
from scfm.storage.store import Store

READ, EXPORT, IMPORT = "read", "export", "import"
SIGN_IN, SIGN_IN_REFUSED, SIGN_OUT, ROLE_REFUSED = "sign_in", "sign_in_refused", "sign_out", "role_refused"
# The resources whose documents show phone numbers.
WITH_NUMBERS: Final[tuple[Resource, ...]] = (
    CONTACTS,
    CALLOUT_PARTICIPATIONS,
    PHONE_CALLS,
    OPT_OUTS,
    REMOTE_PHONE_CALL_EVENTS,
    AUDIT_EVENTS,
    WEBHOOK_DELIVERIES,
)
# So many numbers that a client reads, in a page or in pages that follow one another within so many seconds, are an
# event. Of who reads on in small pages, the next tells twice as many, up to MOST_NUMBERS: each takes two round trips.
MANY_NUMBERS, MOST_NUMBERS, READING_SECONDS = 100, 10_000, 600.0
# Refusals of one client at one route that follow one another within so many seconds are told together.
REFUSED_SECONDS = 600.0
# No more clients are remembered that have read fewer.
MAX_READING_CLIENTS = 10_000


class AuditLog:
    """Records what clients do. Every method that is awaited raises Unavailable."""

    def __init__(self, store: Store, trusted_proxies: str) -> None:
        """TRUSTED_PROXIES is the setting."""
        self._store = store
        self._proxies = trusted_proxies
        # By who reads what: the numbers since the last event, how many make the next one, and when they were read.
        self._read: OrderedDict[tuple[object, ...], tuple[int, int, float]] = OrderedDict()
        self._refused = Repeated(REFUSED_SECONDS)

    def trail(
        self, request: HTTPServerRequest, request_id: str, client: Client, idempotent: str | None = None
    ) -> AuditTrail:
        """The trail of what CLIENT does by a request; IDEMPOTENT is the name of its IdempotentRequest."""
        address = remote_address(request, self._proxies)
        origin = Origin(client.account_id, actor_of(client), request_id, address, idempotent)
        return AuditTrail(self._store, origin)

    async def record_role_refused(self, scope: Scope, needed: Role, route: str) -> None:
        """Record that a request was refused, as it needs another role, or another person of that role.

        Who is refused again at the same ROUTE is an event at the tenth, the hundredth… time within REFUSED_SECONDS,
        with how many ``times`` it was since the last event.
        """
        times = self._refused.told(reader_of(scope.client, route))
        if not times:
            return
        account_id, role = scope.client.account_id, scope.client.role.value
        more = {"times": times} if times > 1 else {}
        changes = shown_now({"role": role, "needed": needed.value, "route": route, **more})
        await scope.audit.record(Subject("account", account_id, account_id), ROLE_REFUSED, changes)

    async def record_sign_in(
        self, address: str, request_id: str, email: str, user: Mapping[str, Any] | None, action: str
    ) -> None:
        """Record ACTION (``sign_in``, ``sign_out``, ``…_refused``) of a USER, None where EMAIL is nobody's.

        ADDRESS is where the request comes from. The event of an unknown email is stored in the super admin's account:
        it takes as many round trips as that of a user, so that the time does not tell which emails there are.
        """
        of_nobody = await first_super_admin(self._store)
        account_id, user_id = (of_nobody, None) if user is None else (user["account_id"], user["_id"])
        # What is no address may be a password in the wrong field.
        actor = {"type": "user", "id": user_id, "email": email[:MAX_EMAIL] if "@" in email else None}
        trail = AuditTrail(self._store, Origin(account_id, actor, request_id, address))
        await trail.record(Subject("user", user_id, account_id), action)

    async def record_numbers_read(self, scope: Scope, resource: Resource, count: int, parameters: Document) -> None:
        """Record that a page of COUNT documents is shown, if with those before it that makes many numbers."""
        client = scope.client
        if resource not in WITH_NUMBERS or client.role is Role.VIEWER or not count:
            return
        reader = reader_of(client, resource.kind)
        moment = time.monotonic()
        before, many, at = self._read.pop(reader, (0, MANY_NUMBERS, moment))
        if moment - at >= READING_SECONDS:
            before, many = 0, MANY_NUMBERS
        read = before + count
        told = read >= many or count >= MANY_NUMBERS
        self._read[reader] = (0, min(2 * many, MOST_NUMBERS), moment) if told else (read, many, moment)
        if len(self._read) > MAX_READING_CLIENTS:
            self._read.popitem(last=False)
        if not told:
            return
        subject = Subject(resource.kind, None, client.account_id)
        await scope.audit.record(subject, READ, shown_now({**asked(parameters), "numbers": read}))


def reader_of(client: Client, what: str) -> tuple[object, ...]:
    """The key of who does something with WHAT, a kind or a route."""
    return (client.account_id, client.token_id, client.user_id, what)


def asked(parameters: Document) -> Document:
    """What a list, a file or a summary was asked for: its filters, and the path whose values it tells."""
    return {name: parameters[name] for name in ("q", "path", "group_by") if name in parameters}


def shown_now(values: Document) -> Document:
    """What an event tells that has no before: ``{name: [null, value]}``."""
    return {name: told_pair(None, value) for name, value in values.items()}


def actor_of(client: Client) -> Document:
    """A client as the actor of an event."""
    if client.user_id is not None:
        return {"type": "user", "id": client.user_id, "email": client.email}
    return {"type": "access_token", "id": client.token_id}

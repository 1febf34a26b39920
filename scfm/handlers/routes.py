"""The API on one screen."""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler, URLSpec  # type: ignore[attr-defined]

from scfm.handlers.callout_results import CalloutResultsHandler
from scfm.handlers.collection import CollectionHandler, NestedHandler, PreviewHandler
from scfm.handlers.documentation import DocumentationHandler, DocumentHandler, SchemaHandler
from scfm.handlers.export_contacts import ExportContactsHandler
from scfm.handlers.follow_ups import FollowUpsHandler
from scfm.handlers.health import HealthHandler
from scfm.handlers.holds import AccountEventsHandler, OwnAccountEventsHandler, ServerEventsHandler, ServerHandler
from scfm.handlers.import_contacts import ImportContactsHandler, ImportOptOutsHandler
from scfm.handlers.index import IndexHandler
from scfm.handlers.member import EventsHandler, MemberHandler, OwnAccountHandler
from scfm.handlers.openapi.document import openapi_document
from scfm.handlers.preflight import PreflightHandler
from scfm.handlers.statistics import AccountStatisticsHandler, CalloutProgressHandler, CalloutStatisticsHandler
from scfm.handlers.webhook import RemotePhoneCallEventsHandler
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.registry import RESOURCES
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.resource import Resource
from scfm.models.user import USERS

# Each resource with the verbs of its list and of its members.
LISTED: tuple[tuple[Resource, str, str, dict[str, Any]], ...] = (
    (CONTACTS, "GET POST", "GET PATCH DELETE", {}),
    (PHONE_CALLS, "GET", "GET PATCH DELETE", {}),
    (CALLOUTS, "GET POST", "GET PATCH DELETE", {}),
    (CALLOUT_PARTICIPATIONS, "GET", "GET PATCH DELETE", {}),
    (BATCH_OPERATIONS, "GET POST", "GET PATCH DELETE", {}),
    (ACCOUNTS, "GET POST", "GET PATCH DELETE", {"super_admin": True}),
    (ACCESS_TOKENS, "GET POST", "GET PATCH DELETE", {"for_any_account": True}),
    (USERS, "GET POST", "GET PATCH DELETE", {"for_any_account": True}),
    (OPT_OUTS, "GET POST", "GET PATCH DELETE", {}),
)
# The nested lists under which one may also be created; the others come from the resources' own ``parents``.
CREATED_UNDER = {
    ("callout", "callout_participations"),
    ("callout", "batch_operations"),
    ("callout_participation", "phone_calls"),
}
WITH_EVENTS = (CALLOUTS, BATCH_OPERATIONS, PHONE_CALLS)
PREVIEWED = (CONTACTS, CALLOUT_PARTICIPATIONS, PHONE_CALLS)

ID = "([^/]+?)"
SCHEMA = "([a-z_]+)"


def routes() -> list[URLSpec]:
    """Every route, the first that fits wins: they are tried in turn, so those that are asked for most come first."""
    path = f"/api/{REMOTE_PHONE_CALL_EVENTS.collection}"
    events = {"resource": REMOTE_PHONE_CALL_EVENTS}
    found = [
        _route(path, RemotePhoneCallEventsHandler, verbs="GET POST", **events),
        _route(f"{path}/{ID}", MemberHandler, verbs="GET PATCH", **events),
        _route("/api/contacts/import", ImportContactsHandler, resource=CONTACTS, verbs="POST"),
        _route("/api/opt_outs/import", ImportOptOutsHandler, resource=OPT_OUTS, verbs="POST"),
        _route("/api/contacts/export", ExportContactsHandler, resource=CONTACTS),
    ]
    for resource, list_verbs, verbs, options in LISTED:
        path = f"/api/{resource.collection}"
        found.append(_route(path, CollectionHandler, resource=resource, verbs=list_verbs, **options))
        found.append(_route(f"{path}/{ID}", MemberHandler, resource=resource, verbs=verbs, **options))
    found.append(_route("/api/account", OwnAccountHandler, resource=ACCOUNTS, verbs="GET PATCH"))
    found.extend(_holds())
    found.extend(_nested())
    for resource in WITH_EVENTS:
        path = f"/api/{resource.collection}/{ID}/{resource.kind}_events"
        found.append(_route(path, EventsHandler, resource=resource, verbs="POST"))
    found.append(_route(f"/api/callouts/{ID}/preflight", PreflightHandler, resource=CALLOUTS, verbs="POST"))
    found.append(_route(f"/api/callouts/{ID}/follow_ups", FollowUpsHandler, resource=CALLOUTS, verbs="POST"))
    for resource in PREVIEWED:
        path = f"/api/batch_operations/{ID}/preview/{resource.collection}"
        found.append(_route(path, PreviewHandler, resource=resource))
    found.append(_route("/api/statistics", AccountStatisticsHandler, resource=CALLOUTS))
    path = f"/api/{CALLOUTS.collection}/{ID}"
    found.append(_route(f"{path}/statistics", CalloutStatisticsHandler, resource=CALLOUTS))
    found.append(_route(f"{path}/progress", CalloutProgressHandler, resource=CALLOUTS))
    found.append(_route(f"{path}/results", CalloutResultsHandler, resource=CALLOUTS))
    found.extend((_route("/", IndexHandler), _route("/api", IndexHandler), _route("/health", HealthHandler)))
    found.append(_route("/api/openapi", DocumentHandler, document=openapi_document(found)))
    found.append(_route(f"/api/schemas/{SCHEMA}", SchemaHandler))
    found.append(_route("/api/docs", DocumentationHandler))
    return found


def _holds() -> list[URLSpec]:
    own, any_account = {"resource": ACCOUNTS, "verbs": "POST"}, {"super_admin": True}
    return [
        _route("/api/account/account_events", OwnAccountEventsHandler, **own),
        _route(f"/api/accounts/{ID}/account_events", AccountEventsHandler, **own, **any_account),
        _route("/api/server", ServerHandler, **any_account),
        _route("/api/server/server_events", ServerEventsHandler, verbs="POST", **any_account),
    ]


def _nested() -> list[URLSpec]:
    by_kind = {resource.kind: resource for resource in RESOURCES}
    return [
        _route(
            f"/api/{parent.collection}/{ID}/{child.collection}",
            NestedHandler,
            parent=parent,
            resource=child,
            super_admin=parent is ACCOUNTS,
            verbs="GET POST" if (parent.kind, child.collection) in CREATED_UNDER else "GET",
        )
        for child in RESOURCES
        for parent in (by_kind[kind] for kind in child.parents)
    ]


def _route(path: str, handler: type[RequestHandler], **options: Any) -> URLSpec:
    name = path.replace(ID, "{id}").replace(SCHEMA, "{name}")
    return URLSpec(rf"{path.rstrip('/')}(?:\.json)?/?", handler, {"route": name, **options}, name=name)

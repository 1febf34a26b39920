"""The API on one screen."""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler, URLSpec  # type: ignore[attr-defined]

from scfm.handlers.audio_files import (
    AUDIO_ENDING,
    SHA256,
    AudioFileHandler,
    AudioFilesHandler,
    AudioHandler,
    OriginalAudioHandler,
    RecordAudioHandler,
)
from scfm.handlers.call_flows import (
    CoverageHandler,
    GraphHandler,
    PublishHandler,
    RehearsalsHandler,
    ValidateHandler,
    VersionsHandler,
)
from scfm.handlers.callout_results import CalloutResultsHandler
from scfm.handlers.client import ClientHandler
from scfm.handlers.collection import CollectionHandler, NestedHandler, PreviewHandler
from scfm.handlers.contact_fields import ContactFieldsHandler
from scfm.handlers.documentation import DocumentationHandler, DocumentHandler, SchemaHandler, documentation_files
from scfm.handlers.export_contacts import ExportContactsHandler
from scfm.handlers.export_person import ExportPersonHandler
from scfm.handlers.follow_ups import FollowUpsHandler
from scfm.handlers.health import HealthHandler
from scfm.handlers.holds import AccountEventsHandler, OwnAccountEventsHandler, ServerEventsHandler, ServerHandler
from scfm.handlers.import_contacts import ImportContactsHandler, ImportOptOutsHandler
from scfm.handlers.index import IndexHandler
from scfm.handlers.member import EventsHandler, MemberHandler, OwnAccountHandler
from scfm.handlers.metrics import MetricsHandler
from scfm.handlers.oidc import OIDC_PATH, OidcCallbackHandler, OidcStartHandler
from scfm.handlers.openapi.document import openapi_document
from scfm.handlers.page import PageHandler
from scfm.handlers.page_files import page_files
from scfm.handlers.preflight import PreflightHandler
from scfm.handlers.ready import ReadyHandler
from scfm.handlers.session import SessionHandler
from scfm.handlers.static_files import StaticFileHandler
from scfm.handlers.statistics import AccountStatisticsHandler, CalloutProgressHandler, CalloutStatisticsHandler
from scfm.handlers.webhook import RemotePhoneCallEventsHandler
from scfm.handlers.webhook_endpoints import (
    DeliveriesHandler,
    RedeliverHandler,
    RotateHandler,
    WebhookEndpointsHandler,
)
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS
from scfm.models.audio_file import AUDIO_FILES
from scfm.models.audit_event import AUDIT_EVENTS
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.call_flow import CALL_FLOWS
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.registry import RESOURCES
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.models.resource import Resource
from scfm.models.roles import Role
from scfm.models.user import USERS
from scfm.models.webhook_delivery import WEBHOOK_DELIVERIES
from scfm.models.webhook_endpoint import WEBHOOK_ENDPOINTS

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
    (CALL_FLOWS, "GET POST", "GET PATCH DELETE", {}),
    (AUDIT_EVENTS, "GET", "GET", {}),
)
# The nested lists under which one may also be created; the others come from the resources' own ``parents``.
CREATED_UNDER = {
    ("callout", "callout_participations"),
    ("callout", "batch_operations"),
    ("callout_participation", "phone_calls"),
}
# What only admins change; all else is changed by operators, and seen by viewers.
ADMINISTERED = (ACCOUNTS, ACCESS_TOKENS, USERS, WEBHOOK_ENDPOINTS, WEBHOOK_DELIVERIES)
# POST changes nothing.
HARMLESS = {"POST": Role.VIEWER}
WITH_EVENTS = (CALLOUTS, BATCH_OPERATIONS, PHONE_CALLS)
PREVIEWED = (CONTACTS, CALLOUT_PARTICIPATIONS, PHONE_CALLS)

ID = "([^/]+?)"
DELIVERY_ID = "([^/]+)"
SCHEMA = "([a-z_]+)"
# A file for browsers: the digest of its set, and its name there.
DIGEST = "([0-9a-f]{16})"
FILE = "(.+?)"


def routes() -> list[URLSpec]:
    """Every route, the first that fits wins: they are tried in turn, so those that are asked for most come first."""
    path = f"/api/{REMOTE_PHONE_CALL_EVENTS.collection}"
    events = {"resource": REMOTE_PHONE_CALL_EVENTS}
    found = [
        _route(path, RemotePhoneCallEventsHandler, verbs="GET POST", roles={"POST": None}, **events),
        _route(f"{path}/{ID}", MemberHandler, verbs="GET PATCH", **events),
        _route("/api/contacts/import", ImportContactsHandler, resource=CONTACTS, verbs="POST"),
        _route("/api/opt_outs/import", ImportOptOutsHandler, resource=OPT_OUTS, verbs="POST"),
        _route("/api/contacts/export", ExportContactsHandler, resource=CONTACTS),
        _route("/api/contacts/fields", ContactFieldsHandler, resource=CONTACTS),
        _route("/api/call_flows/validate", ValidateHandler, resource=CALL_FLOWS, verbs="POST", roles=HARMLESS),
    ]
    for resource, list_verbs, verbs, options in LISTED:
        path = f"/api/{resource.collection}"
        found.append(_route(path, CollectionHandler, resource=resource, verbs=list_verbs, **options))
        found.append(_route(f"{path}/{ID}", MemberHandler, resource=resource, verbs=verbs, **options))
    # It holds all that there is of a person, also what masks cannot hide.
    export, roles = f"/api/contacts/{ID}/export", {"GET": Role.OPERATOR}
    found.append(_route(export, ExportPersonHandler, resource=CONTACTS, roles=roles))
    found.extend(_audio())
    found.extend(_webhook_endpoints())
    found.append(_route("/api/account", OwnAccountHandler, resource=ACCOUNTS, verbs="GET PATCH"))
    found.extend(_holds())
    found.extend(_nested())
    for resource in WITH_EVENTS:
        path = f"/api/{resource.collection}/{ID}/{resource.kind}_events"
        found.append(_route(path, EventsHandler, resource=resource, verbs="POST"))
    path = f"/api/callouts/{ID}/preflight"
    found.append(_route(path, PreflightHandler, resource=CALLOUTS, verbs="POST", roles=HARMLESS))
    found.append(_route(f"/api/callouts/{ID}/follow_ups", FollowUpsHandler, resource=CALLOUTS, verbs="POST"))
    for resource in PREVIEWED:
        path = f"/api/batch_operations/{ID}/preview/{resource.collection}"
        found.append(_route(path, PreviewHandler, resource=resource))
    found.extend(_call_flows())
    found.append(_route("/api/statistics", AccountStatisticsHandler, resource=CALLOUTS))
    path = f"/api/{CALLOUTS.collection}/{ID}"
    found.append(_route(f"{path}/statistics", CalloutStatisticsHandler, resource=CALLOUTS))
    found.append(_route(f"{path}/progress", CalloutProgressHandler, resource=CALLOUTS))
    found.append(_route(f"{path}/results", CalloutResultsHandler, resource=CALLOUTS))
    found.append(_route("/session", SessionHandler, verbs="GET POST PATCH DELETE"))
    found.extend((_route(OIDC_PATH, OidcStartHandler), _route(f"{OIDC_PATH}/callback", OidcCallbackHandler)))
    found.append(_route("/", PageHandler, files=page_files()))
    sets = {files.digest: files for files in (page_files(), documentation_files())}
    found.append(_route(f"/static/{DIGEST}/{FILE}", StaticFileHandler, sets=sets))
    found.extend((_route("/api", IndexHandler), _route("/health", HealthHandler)))
    found.extend((_route("/ready", ReadyHandler), _route("/metrics", MetricsHandler)))
    found.append(_route("/api/openapi", DocumentHandler, document=openapi_document(found)))
    found.append(_route(f"/api/schemas/{SCHEMA}", SchemaHandler))
    found.append(_route("/api/docs", DocumentationHandler, files=documentation_files()))
    return found


def _audio() -> list[URLSpec]:
    path, files = f"/api/{AUDIO_FILES.collection}", {"resource": AUDIO_FILES}
    return [
        _route(rf"/audio/{SHA256}\.{AUDIO_ENDING}", AudioHandler),
        _route(path, AudioFilesHandler, verbs="GET POST", **files),
        _route(f"{path}/record", RecordAudioHandler, verbs="POST", **files),
        _route(f"{path}/{ID}", AudioFileHandler, verbs="GET PATCH DELETE", **files),
        _route(f"{path}/{ID}/original", OriginalAudioHandler, **files),
    ]


def _webhook_endpoints() -> list[URLSpec]:
    path, endpoints = f"/api/{WEBHOOK_ENDPOINTS.collection}", {"resource": WEBHOOK_ENDPOINTS}
    deliveries = {"resource": WEBHOOK_DELIVERIES, "parent": WEBHOOK_ENDPOINTS}
    return [
        _route(path, WebhookEndpointsHandler, verbs="GET POST", **endpoints),
        _route(f"{path}/{ID}", MemberHandler, verbs="GET PATCH DELETE", **endpoints),
        _route(f"{path}/{ID}/rotate", RotateHandler, verbs="POST", **endpoints),
        _route(f"{path}/{ID}/deliveries", DeliveriesHandler, **deliveries),
        _route(f"{path}/{ID}/deliveries/{DELIVERY_ID}/redeliver", RedeliverHandler, verbs="POST", **deliveries),
    ]


def _holds() -> list[URLSpec]:
    own = {"resource": ACCOUNTS, "verbs": "POST", "roles": {"POST": Role.OPERATOR}}
    any_account = {"super_admin": True}
    return [
        _route("/api/account/account_events", OwnAccountEventsHandler, **own),
        _route(f"/api/accounts/{ID}/account_events", AccountEventsHandler, **own, **any_account),
        _route("/api/server", ServerHandler, **any_account),
        _route("/api/server/server_events", ServerEventsHandler, verbs="POST", **any_account),
    ]


def _call_flows() -> list[URLSpec]:
    path, of_flows = f"/api/{CALL_FLOWS.collection}/{ID}", {"resource": CALL_FLOWS}
    return [
        _route(f"{path}/publish", PublishHandler, verbs="POST", **of_flows),
        _route(f"{path}/rehearsals", RehearsalsHandler, verbs="POST", roles=HARMLESS, **of_flows),
        _route(f"{path}/versions", VersionsHandler, **of_flows),
        _route(f"{path}/graph", GraphHandler, **of_flows),
        _route(f"{path}/coverage", CoverageHandler, **of_flows),
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
    """A route. ``roles``: by verb, the role it needs where that is not the usual one; None for none at all."""
    name = (
        path.replace(DELIVERY_ID, "{delivery_id}")
        .replace(ID, "{id}")
        .replace(SCHEMA, "{name}")
        .replace(DIGEST, "{digest}")
        .replace(FILE, "{file}")
    )
    name = name.replace(rf"{SHA256}\.{AUDIO_ENDING}", "{sha256}.{ending}")
    if issubclass(handler, ClientHandler):
        writes = Role.ADMIN if options.get("resource") in ADMINISTERED else Role.OPERATOR
        verbs = options.get("verbs", "GET").split()
        usual = {verb: Role.VIEWER if verb == "GET" else writes for verb in verbs}
        options["roles"] = {**usual, **options.get("roles", {})}
    return URLSpec(rf"{path.rstrip('/')}(?:\.json)?/?", handler, {"route": name, **options}, name=name)

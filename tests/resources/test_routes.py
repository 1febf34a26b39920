"""Which verbs there are at which paths: all of them, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from tornado.web import URLSpec

from scfm.handlers.openapi.operations import DESCRIBED
from scfm.handlers.routes import routes

# {a,b} stands for each of them.
TABLE = """
GET POST                /api/accounts
GET PATCH DELETE        /api/accounts/:id
GET                     /api/accounts/:id/{users,access_tokens}
GET PATCH               /api/account
GET POST                /api/access_tokens
GET PATCH DELETE        /api/access_tokens/:id
GET POST                /api/users
GET PATCH DELETE        /api/users/:id
GET POST                /api/contacts
GET PATCH DELETE        /api/contacts/:id
GET                     /api/contacts/:id/{callouts,callout_participations,phone_calls,remote_phone_call_events}
GET POST                /api/callouts
GET PATCH DELETE        /api/callouts/:id
POST                    /api/callouts/:id/callout_events
GET                     /api/callouts/:id/{contacts,phone_calls,remote_phone_call_events}
GET POST                /api/callouts/:id/{callout_participations,batch_operations}
GET POST                /api/batch_operations
GET PATCH DELETE        /api/batch_operations/:id
POST                    /api/batch_operations/:id/batch_operation_events
GET                     /api/batch_operations/:id/preview/{contacts,callout_participations,phone_calls}
GET                     /api/batch_operations/:id/{contacts,callout_participations,phone_calls}
GET                     /api/callout_participations
GET PATCH DELETE        /api/callout_participations/:id
GET POST                /api/callout_participations/:id/phone_calls
GET                     /api/callout_participations/:id/remote_phone_call_events
GET                     /api/phone_calls
GET PATCH DELETE        /api/phone_calls/:id
POST                    /api/phone_calls/:id/phone_call_events
GET                     /api/phone_calls/:id/remote_phone_call_events
POST                    /api/remote_phone_call_events
GET                     /api/remote_phone_call_events
GET PATCH               /api/remote_phone_call_events/:id
"""
# What the server adds to it.
ADDED = """
GET                     /health
GET                     /ready
GET                     /metrics
POST                    /api/contacts/import
GET                     /api/contacts/export
GET                     /api/contacts/fields
GET                     /api/contacts/:id/export
GET                     /api/callouts/:id/{statistics,progress,results}
GET                     /api/statistics
POST                    /api/opt_outs/import
GET POST                /api/opt_outs
GET POST                /api/audio_files
POST                    /api/audio_files/record
GET PATCH DELETE        /api/audio_files/:id
GET                     /api/audio_files/:id/original
GET                     /audio/:sha256.:ending
GET PATCH DELETE        /api/opt_outs/:id
GET POST                /api/webhook_endpoints
GET PATCH DELETE        /api/webhook_endpoints/:id
POST                    /api/webhook_endpoints/:id/rotate
GET                     /api/webhook_endpoints/:id/deliveries
POST                    /api/webhook_endpoints/:id/deliveries/:delivery_id/redeliver
GET                     /api/audit_events
GET                     /api/audit_events/:id
POST                    /api/account/account_events
POST                    /api/accounts/:id/account_events
GET                     /api/server
POST                    /api/server/server_events
POST                    /api/callouts/:id/preflight
POST                    /api/callouts/:id/follow_ups
GET POST                /api/call_flows
GET PATCH DELETE        /api/call_flows/:id
POST                    /api/call_flows/validate
POST                    /api/call_flows/:id/{publish,rehearsals}
GET                     /api/call_flows/:id/{versions,graph,coverage}
GET POST PATCH DELETE   /session
GET                     /session/oidc
GET                     /session/oidc/callback
"""
# They are the documentation, and do not document themselves.
SELF = """
GET                     /
GET                     /static/:digest/:file
GET                     /api
GET                     /api/openapi
GET                     /api/schemas/:name
GET                     /api/docs
"""

# Every route in the order in which they are tried: path; verbs; the resource, and the one it is listed under; and who
# else may: super admins alone, or for any account.
IN_ORDER = (Path(__file__).parent / "routes.txt").read_text().splitlines()
# Every route with its verbs, and the least role that each lets in; ``anyone`` needs none.
ROLES = (Path(__file__).parent / "roles.txt").read_text().splitlines()
ANY_ENDING = r"(?:\.json)?/?$"


def expanded(table: str) -> Iterator[str]:
    for line in filter(None, table.splitlines()):
        *verbs, path = line.split()
        parts = [part.split(",") for part in re.split(r"[{}]", path)]
        for verb, choice in product(verbs, product(*parts)):
            yield f"{verb} {''.join(choice)}"


def with_colons(path: str) -> str:
    """A path with ``:id`` for ``{id}``."""
    return re.sub(r"[{](\w+)[}]", r":\1", path)


def served() -> list[str]:
    return [
        f"{verb} {with_colons(route.name)}" for route in routes() for verb in route.kwargs.get("verbs", "GET").split()
    ]


def test_the_routes_are_those_of_the_table_and_no_others() -> None:
    assert sorted(served()) == sorted(expanded(TABLE + ADDED + SELF))


def in_words(route: URLSpec) -> str:
    """A route as routes.txt has it."""
    told = route.kwargs
    named = [told[name].collection for name in ("resource", "parent") if name in told]
    flags = [name for name in ("super_admin", "for_any_account") if told.get(name)]
    return "; ".join([route.name, told.get("verbs", "GET"), " of ".join(named) or "-", *flags])


def test_the_routes_are_tried_in_this_order_each_for_its_resource() -> None:
    assert [in_words(route) for route in routes()] == IN_ORDER


def who_may(route: URLSpec) -> str:
    """A route as roles.txt has it."""
    roles = route.kwargs.get("roles", {})
    verbs = route.kwargs.get("verbs", "GET").split()
    return f"{route.name}: " + ", ".join(f"{verb} {roles.get(verb) or 'anyone'}" for verb in verbs)


def test_each_route_lets_in_with_each_verb_who_has_this_role() -> None:
    assert [who_may(route) for route in routes()] == ROLES


def test_every_path_may_end_with_json_and_a_slash() -> None:
    for route in routes():
        assert route.regex.pattern.endswith(ANY_ENDING), route
        assert route.kwargs["route"] == route.name


def test_every_route_is_in_the_openapi_document() -> None:
    document = next(route.kwargs["document"] for route in routes() if route.name == "/api/openapi")
    described = [
        f"{verb.upper()} {with_colons(path)}" for path, operations in document["paths"].items() for verb in operations
    ]
    assert sorted(described) == sorted(expanded(TABLE + ADDED))


def test_no_operation_is_described_that_no_route_has() -> None:
    used = {(route.handler_class, verb) for route in routes() for verb in route.kwargs.get("verbs", "GET").split()}
    assert set(DESCRIBED) <= used

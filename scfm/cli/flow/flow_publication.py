"""Publishes a definition on a server: what is published as it is already stays as it is."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from scfm.cli.server_api import RequestRefused, ServerApi
from scfm.twiml.definition import Definition

FLOWS = "/api/call_flows"


class Publication(NamedTuple):
    """What has become of a flow: its id, its newest version, and whether that was made by this."""

    flow_id: int
    version: int
    is_new: bool


def publish_definition(api: ServerApi, name: str, definition: Definition) -> Publication:
    """Make DEFINITION the newest version of the call flow NAME, which is created if it is missing.

    Raises CommandFailed.
    """
    flow = _with_draft(api, name, definition)
    if flow["version"] is not None and _newest(api, flow["id"]) == definition:
        return Publication(flow["id"], flow["version"], is_new=False)
    published = api.post(f"{FLOWS}/{flow['id']}/publish")
    return Publication(published["id"], published["version"], is_new=True)


def _with_draft(api: ServerApi, name: str, definition: Definition) -> Any:
    """The flow NAME, whose draft is DEFINITION now; it is shown as it was before."""
    found = [flow for flow in api.get(f"{FLOWS}?{urlencode({'q[name]': name})}") if flow["name"] == name]
    if not found:
        return api.post(FLOWS, {"name": name, "definition": definition})
    flow = found[0]
    if flow["definition"] != definition:
        api.patch(f"{FLOWS}/{flow['id']}", {"definition": definition})
    return flow


def _newest(api: ServerApi, flow_id: int) -> Any:
    versions = api.get(f"{FLOWS}/{flow_id}/versions?per_page=1")
    if not versions:
        raise RequestRefused(f"call flow {flow_id} has been deleted meanwhile: publish it again")
    return versions[0]["definition"]

"""Makes a callout with a plan, shows what the plan comes to, and starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from scfm.cli.alert.alert_screen import AlertScreen
from scfm.cli.alert.alert_words import preflight_lines
from scfm.cli.server_api import RequestRefused, ServerApi

# What says a message, where no other flow is named.
MESSAGE_FLOW = "CallFlowLogic::Message"


class NewCallout(NamedTuple):
    """A callout to be made: the file of its plan, its call flow (None: the server's default), and what it says."""

    plan: Path
    flow: str | None
    message: str | None


def start_new(api: ServerApi, screen: AlertScreen, new: NewCallout, confirmed: bool) -> int:
    """Make a callout and start it; its id. One that had better not be started is deleted. Raises CommandFailed."""
    fields: dict[str, Any] = {"plan": _read_plan(new.plan)}
    if new.message is not None:
        fields["metadata"] = {"message": new.message}
    if flow := new.flow or (MESSAGE_FLOW if new.message is not None else None):
        fields["call_flow_logic"] = flow
    callout_id = int(api.post("/api/callouts", fields)["id"])
    try:
        _check(api, screen, callout_id, confirmed)
    except (RequestRefused, KeyboardInterrupt):
        api.delete(f"/api/callouts/{callout_id}")
        raise
    _send_start(api, screen, callout_id)
    return callout_id


def start_existing(api: ServerApi, screen: AlertScreen, callout_id: int, confirmed: bool) -> None:
    """Start a callout that is there. Raises CommandFailed."""
    callout = api.get(f"/api/callouts/{callout_id}")
    if callout["status"] != "initialized":
        raise RequestRefused(
            f"callout {callout_id} is {callout['status']}, and only one that is initialized can be started; "
            f"to follow it: scfm alert watch {callout_id}"
        )
    if callout["plan"] is None:
        raise RequestRefused(f"callout {callout_id} has no plan: give it one, or start another with --plan FILE")
    _check(api, screen, callout_id, confirmed)
    _send_start(api, screen, callout_id)


def _check(api: ServerApi, screen: AlertScreen, callout_id: int, confirmed: bool) -> None:
    """Show the preflight, and ask unless it is CONFIRMED. Raises RequestRefused where it is not to be started."""
    report = api.post(f"/api/callouts/{callout_id}/preflight")
    screen.say(f"callout {callout_id}")
    for line in preflight_lines(report):
        screen.say(line)
    if report["blockers"]:
        raise RequestRefused("nobody is called: remove what blocks the start, and start it again")
    if not confirmed and not screen.confirm(f"Call {report['audience']:,} people?"):
        raise RequestRefused("nobody is called, as you did not say yes")


def _send_start(api: ServerApi, screen: AlertScreen, callout_id: int) -> None:
    api.post(f"/api/callouts/{callout_id}/callout_events", {"event": "start"})
    screen.say(f"callout {callout_id} is started")


def _read_plan(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestRefused(f"the plan {path} cannot be read ({error}): it is a JSON file") from None

"""The demo's alert: people, a plan, its preflight, its course, whom it did not reach, and those once more."""

from __future__ import annotations

import json
from typing import Any

from scfm.cli.alert.alert_screen import AlertScreen
from scfm.cli.alert.alert_words import preflight_lines
from scfm.cli.alert.callout_watch import watch_callout
from scfm.cli.demo.failure import StepFailed
from scfm.cli.server_api import ServerApi

DEMO_PEOPLE = 1000
DISTRICTS = ("Stung Treng", "Kratie", "Kampong Cham", "Kandal")
MESSAGE = "Flood warning. Leave low ground now. Press 1 if you have understood."
# Real delays are minutes: these are as short as the simulated calls.
MAX_ATTEMPTS, DELAYS = 3, (2, 4)
# For how long the server may be away.
DEMO_AWAY_SECONDS = 30.0
SHOWN_UNREACHED = 5


class Alert:
    """The alert, step by step, on a server that has nothing yet. Raises StepFailed, CommandFailed."""

    def __init__(self, api: ServerApi, screen: AlertScreen) -> None:
        self._api = api
        self._screen = screen

    def walk(self) -> None:
        """Every step, in order."""
        self._import_people()
        callout_id = self._make_callout()
        self._show_preflight(callout_id)
        statistics = self._carry_out(callout_id, DEMO_PEOPLE)
        again = sum(count for attempts, count in statistics["attempts"].items() if int(attempts) > 1)
        _expect("people who were called again", again > 0, again)
        self._say(f"called again, as they were not reached: {again}")
        acknowledged = statistics["people"]["acknowledged"]
        _expect("people who pressed 1", acknowledged > 0, acknowledged)
        self._say(f"pressed 1, and so have acknowledged: {acknowledged}")
        if unreached := self._show_unreached(callout_id, statistics["people"]["unreached"]):
            self._follow_up(callout_id, unreached)

    def _import_people(self) -> None:
        people = (
            {
                "msisdn": f"+25266{2_345_000 + number}",
                "metadata": {"name": f"Person {number}", "district": DISTRICTS[number % len(DISTRICTS)]},
            }
            for number in range(1, DEMO_PEOPLE + 1)
        )
        lines = "".join(json.dumps(person) + "\n" for person in people)
        created = self._api.upload("/api/contacts/import", lines.encode(), "application/x-ndjson")["created"]
        _expect(f"{DEMO_PEOPLE} contacts", created == DEMO_PEOPLE, created)
        self._say(f"people along the river, imported: {created}")

    def _make_callout(self) -> int:
        plan = {
            "audience": {},
            "remote_request_params": {"from": "1294"},
            "retry": {"max_attempts": MAX_ATTEMPTS, "delays": DELAYS},
        }
        fields = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": MESSAGE}, "plan": plan}
        callout = self._api.post("/api/callouts", fields)
        self._say(f"a callout with a plan: everybody, {MAX_ATTEMPTS} attempts, key 1 acknowledges")
        return int(callout["id"])

    def _show_preflight(self, callout_id: int) -> None:
        report = self._api.post(f"/api/callouts/{callout_id}/preflight")
        _expect(f"{DEMO_PEOPLE} people in the preflight", report["audience"] == DEMO_PEOPLE, report["audience"])
        self._say("the preflight:")
        for line in preflight_lines(report):
            self._screen.say(line)

    def _carry_out(self, callout_id: int, people: int) -> dict[str, Any]:
        """Start a callout, and watch it until it is completed; its statistics."""
        self._api.post(f"/api/callouts/{callout_id}/callout_events", {"event": "start"})
        watch_callout(self._api, self._screen, callout_id, DEMO_AWAY_SECONDS)
        statistics: dict[str, Any] = self._api.get(f"/api/callouts/{callout_id}/statistics")
        counts = statistics["people"]
        _expect(f"{people} people", counts["total"] == people, counts["total"])
        unsettled = counts["pending"] + counts["calling"] + counts["waiting"]
        _expect("nobody left to be called", unsettled == 0, unsettled)
        most = max(int(attempts) for attempts, count in statistics["attempts"].items() if count)
        _expect(f"at most {MAX_ATTEMPTS} calls to anybody", most <= MAX_ATTEMPTS, most)
        return statistics

    def _show_unreached(self, callout_id: int, expected: int) -> int:
        """Show some of those who were not reached; how many they are."""
        query = {"format": "jsonl", "q[outcome]": "unreached"}
        with self._api.stream(f"/api/callouts/{callout_id}/results", query) as rows:
            found = [json.loads(line) for line in iter(rows.readline, b"")]
        _expect(f"{expected} people in the results", len(found) == expected, len(found))
        self._say(f"not reached: {len(found)}")
        for row in found[:SHOWN_UNREACHED]:
            name, district = row["metadata"]["name"], row["metadata"]["district"]
            calls = f"{row['attempts']} call{'s' if row['attempts'] > 1 else ''}"
            self._screen.say(f"    {row['msisdn']}  {name}, {district}: {row['outcome_reason']} ({calls})")
        if len(found) > SHOWN_UNREACHED:
            self._screen.say(f"    and {len(found) - SHOWN_UNREACHED} more")
        return len(found)

    def _follow_up(self, callout_id: int, unreached: int) -> None:
        callout = self._api.post(f"/api/callouts/{callout_id}/follow_ups")
        self._say(f"a follow-up, for these {unreached} once more")
        self._carry_out(int(callout["id"]), unreached)

    def _say(self, text: str) -> None:
        self._screen.say(f"ok  {text}")


def _expect(expected: str, as_expected: bool, actual: object) -> None:
    """Raise StepFailed unless it is AS_EXPECTED."""
    if not as_expected:
        raise StepFailed(expected, str(actual))

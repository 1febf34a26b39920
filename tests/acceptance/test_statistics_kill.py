"""People sum to the whole in every answer: while calls go on, after ``kill -9``, and when all has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.alerts import await_finished, carrier, every, import_contacts, queue
from tests.server import Server, wait_until
from tests.slow import slow

PEOPLE = 200
TWIML = "<Response><Say>Water is rising</Say></Response>"
CREATION = {
    "type": "BatchOperation::PhoneCallCreate",
    "parameters": {"remote_request_params": {"from": "1234", "twiml": TWIML}},
}
OVER = ("reached", "acknowledged", "unreached", "excluded", "unknown")


def statistics(server: Server, query: str = "") -> Any:
    """Those of the callout, checked for what must hold at any time."""
    answer = server.request("GET", f"/api/callouts/1/statistics{query}")
    assert answer.status == 200, answer
    found = answer.json
    people = {name: count for name, count in found["people"].items() if name != "total"}
    assert sum(people.values()) == found["people"]["total"] == PEOPLE
    assert sum(found["attempts"].values()) == PEOPLE
    assert sum(found["reasons"].values()) == people["unreached"] + people["excluded"]
    assert found["calls"]["completed"] >= people["reached"] + people["acknowledged"]
    return found


def settled(found: Any) -> int:
    return sum(found["people"][outcome] for outcome in OVER)


@pytest.mark.parametrize("moment", [slow(20), 120])
def test_whatever_happens_people_sum_to_the_whole(tmp_path: Path, moment: int) -> None:
    with carrier(tmp_path / "ledger") as url:
        environment = {
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_CLIENT_REST_API_BASE_URL": url,
            "UNKNOWN_GRACE_SECONDS": "0.5",
            "STATUS_CHECK": "always",
            "STATUS_CHECK_SECONDS": "0.2",
            "CALLS_PER_SECOND": "100",
            "PROVIDER_TIMEOUT": "2",
            "LEASE_SECONDS": "8",
        }
        with Server(tmp_path / "data", environment) as server:
            import_contacts(server, PEOPLE)
            assert server.request("POST", "/api/callouts").status == 201
            population = queue(server, "/api/callouts/1/batch_operations", type="BatchOperation::CalloutPopulation")
            await_finished(server, population)
            assert statistics(server)["people"]["pending"] == PEOPLE
            await_finished(server, queue(server, "/api/batch_operations", **CREATION))
            queue(server, "/api/batch_operations", type="BatchOperation::PhoneCallQueue")
            wait_until(lambda: settled(statistics(server)) >= moment, every=0.01)
            server.kill()
            server.start()
            assert settled(statistics(server)) >= moment, "what had been told is not taken back"
            wait_until(lambda: settled(statistics(server)) == PEOPLE, every=0.05)
            found = statistics(server, "?group_by=metadata.district")
            (group,) = found["groups"]
            assert (group["value"], group["people"]) == (None, found["people"])
            participations = every(server, "/api/callouts/1/callout_participations")
            calls = every(server, "/api/callouts/1/phone_calls")
        for outcome in OVER:
            assert found["people"][outcome] == sum(one["outcome"] == outcome for one in participations)
        for status, count in found["calls"].items():
            assert count == sum(call["status"] == status for call in calls)
        assert found["talk_seconds"] == sum(call["duration"] or 0 for call in calls)
        assert found["first_attempt_at"] == min(
            one["remotely_queued_at"] for one in calls if one["remotely_queued_at"]
        )
        assert found["last_attempt_at"] == max(
            one["remotely_queued_at"] for one in calls if one["remotely_queued_at"]
        )
        assert sum(placed for _, placed, _ in found["calls_per_minute"]) == sum(
            call["remote_call_id"] is not None for call in calls
        )

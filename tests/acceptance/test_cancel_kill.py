"""What was answered to whoever ends calls is carried out, also by the process that comes after a kill."""

from __future__ import annotations

from pathlib import Path

from tests.flows.phone_line import environment, outbound, standstill
from tests.server import Client, Server, wait_until

NUMBERS = [f"+25266238{number:04}" for number in range(6)]
# What a dead process was about to do is done by the next one when the dead one's lease has run out.
QUICK = {"PROVIDER_TIMEOUT": "1", "LEASE_SECONDS": "4"}


def over(client: Client, call: str) -> bool:
    """Whether the carrier has ended the call: it is fetched, as no report comes."""
    status = client.get(call).json["status"]
    if status in ("remotely_queued", "in_progress"):
        client.post(f"{call}/phone_call_events", {"event": "queue_remote_fetch"})
    return status in ("canceled", "completed")


def test_calls_that_are_to_end_do_so_after_a_kill(tmp_path: Path) -> None:
    with standstill() as provider, Server(tmp_path / "data", environment(provider, **QUICK)) as server:
        client = server.new_account()
        calls = [outbound(client, number)[0] for number in NUMBERS]
        for call in calls[:3]:
            assert client.post(f"{call}/phone_call_events", {"event": "cancel"}).status == 201
        part = client.get(calls[3]).json["callout_participation_id"]
        callout = client.get(f"/api/callout_participations/{part}").json["callout_id"]
        stop = {"event": "stop", "hang_up": "true"}
        assert client.post(f"/api/callouts/{callout}/callout_events", stop).status == 201
        server.kill()
        server.start()
        wait_until(lambda: all(over(client, call) for call in calls[:4]))
        assert not any(over(client, call) for call in calls[4:])
        assert client.post("/api/account/account_events", {"event": "hold", "hang_up": "true"}).status == 201
        server.kill()
        server.start()
        wait_until(lambda: all(over(client, call) for call in calls))
        assert client.get("/api/account").json["calls_held_at"] is not None

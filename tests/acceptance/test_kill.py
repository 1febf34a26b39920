"""``kill -9`` in the middle of the work, and what is there after a restart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.alerts import await_finished, carrier, every, import_contacts, queue, queue_calls, rung, total
from tests.server import Server, wait_until
from tests.slow import slow

CONTACTS = 20_000
CALLS = 500


def test_a_population_of_20_000_goes_on_after_a_kill(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        import_contacts(server, CONTACTS)
        assert server.request("POST", "/api/callouts").status == 201
        path = queue(server, "/api/callouts/1/batch_operations", type="BatchOperation::CalloutPopulation")
        participations = "/api/callouts/1/callout_participations"
        wait_until(lambda: total(server, participations) > 1000, every=0.005)
        server.kill()
        server.start()
        assert total(server, participations) < CONTACTS or server.request("GET", path).json["status"] == "finished"
        await_finished(server, path, 120)
        assert total(server, participations) == CONTACTS
        contacts = Counter(one["contact_id"] for one in every(server, participations))
        assert len(contacts) == CONTACTS
        assert set(contacts.values()) == {1}


@pytest.mark.parametrize("moment", [slow(20), 150, slow(350)])
def test_of_500_queued_calls_each_is_sent_once_whenever_the_server_is_killed(tmp_path: Path, moment: int) -> None:
    ledger = tmp_path / "ledger"
    with carrier(ledger) as url:
        environment = {
            "PLATFORM_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "secret",
            "TWILIO_CLIENT_REST_API_BASE_URL": url,
            "UNKNOWN_GRACE_SECONDS": "0.5",
        }
        with Server(tmp_path / "data", environment) as server:
            queue_calls(server, CALLS)
            wait_until(lambda: rung(ledger).total() >= moment, every=0.005)
            server.kill()
            server.start()
            # The run that queues them may have been cut off, too: it goes on when its lease has run out, or at once.
            wait_until(lambda: total(server, "/api/phone_calls?q[status]=created,queued") == 0, 90)
            calls = every(server, "/api/phone_calls")
        requests = rung(ledger)
    assert len(calls) == CALLS
    assert set(requests.values()) == {1}
    unsent = [call for call in calls if call["msisdn"] not in requests]
    # Killed between its line in the log and the first byte on the wire: asked about, and never guessed.
    assert all(call["status"] == "errored" and "interrupted" in call["remote_error_message"] for call in unsent)
    assert len(unsent) <= 1

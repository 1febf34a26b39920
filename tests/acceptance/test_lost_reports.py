"""A plan ends though no report of its calls arrives: the provider is asked how they ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Client, Server, wait_until

# The simulated phone at this number is not answered: see scfm/simulator/callee.py.
NOT_ANSWERED = "+15005550012"
PLAN = {
    "audience": {},
    "remote_request_params": {"from": "1294", "timeout": "1"},
    "retry": {"max_attempts": 2, "delays": [1]},
}
FLOW = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "Go."}}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Client]:
    settings = {
        "PLATFORM_PROVIDER": "simulator",
        # Nobody listens there: no report arrives.
        "PUBLIC_URL": "http://127.0.0.1:9",
        "STATUS_CHECK_SECONDS": "0.5",
    }
    with Server(tmp_path / "data", settings) as server:
        yield server.new_account()


def test_who_was_not_reached_is_called_again_and_the_plan_ends(api: Client) -> None:
    api.post("/api/contacts", json={"msisdn": NOT_ANSWERED})
    path = f"/api/callouts/{api.post('/api/callouts', json={'plan': PLAN, **FLOW}).json['id']}"
    assert api.post(f"{path}/callout_events", json={"event": "start"}).status == 201
    wait_until(lambda: api.get(path).json["status"] == "completed")
    statistics = api.get(f"{path}/statistics").json
    assert (statistics["people"]["unreached"], statistics["attempts"]["2"]) == (1, 1)
    assert statistics["reasons"] == {"not_answered": 1}

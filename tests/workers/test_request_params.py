"""What a call is sent with where its ``remote_request_params`` say nothing: this server's own webhook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scfm.models.outcome import ATTEMPT_NUMBER
from scfm.storage.store import Store
from scfm.workers.request_params import sent_params
from tests.workers.background import account, background, calls_of, carrier, pass_over, queued_calls, settings_for

PUBLIC = "https://alerts.example.org/scfm"
WEBHOOK = f"{PUBLIC}/api/remote_phone_call_events"
CALLBACK = {"status_callback": WEBHOOK, "status_callback_method": "POST"}
DEFAULTS = {"url": WEBHOOK, "method": "POST", **CALLBACK}


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ({"from": "1"}, {"from": "1", **DEFAULTS}),
        ({"from": "1", "url": None, "status_callback": None}, {"from": "1", **DEFAULTS}),
        ({"from": "1", "method": "GET", "status_callback_method": "GET"}, {"from": "1", **DEFAULTS}),
        ({"url": "http://own", "method": "GET"}, {"url": "http://own", "method": "GET", **CALLBACK}),
        ({"twiml": "<Response/>"}, {"twiml": "<Response/>", **CALLBACK}),
        ({"application_sid": "AP1"}, {"application_sid": "AP1", **CALLBACK}),
        ({"status_callback": "http://own"}, {"url": WEBHOOK, "method": "POST", "status_callback": "http://own"}),
        ({"url": "http://own", "status_callback": ""}, {"url": "http://own", "status_callback": ""}),
    ],
)
def test_url_and_status_callback_are_our_webhook_where_the_client_gave_none(
    stored: dict[str, Any], sent: dict[str, Any]
) -> None:
    given = dict(stored)
    assert sent_params(stored, PUBLIC) == sent
    assert stored == given, "what is stored stays"
    assert sent_params(stored, "") == given, "without PUBLIC_URL nothing changes"


@pytest.mark.parametrize("public_url", [PUBLIC, ""])
async def test_the_defaults_are_sent_and_not_stored_and_a_default_callback_counts_as_one(
    store: Store, tmp_path: Path, public_url: str
) -> None:
    params = {"from": "345"} if public_url else {"from": "345", "url": "http://127.0.0.1:9/own"}
    await queued_calls(store, await account(store), ["+15550010001"], remote_request_params=params)
    async with carrier() as simulator:
        async with background(store, settings_for(simulator.base_url, tmp_path, public_url=public_url)) as jobs:
            await pass_over(jobs.dispatcher)
        (placed,) = simulator.carrier.calls
        assert placed.options.url == (WEBHOOK if public_url else params["url"])
        assert placed.options.status_callback == (WEBHOOK if public_url else "")
    (call,) = await calls_of(store)
    assert call["status"] == "remotely_queued" and call["remote_request_params"] == params
    assert ("_check" in call) is (not public_url)


async def test_calls_of_a_plan_leave_with_the_address_that_the_server_has_when_they_do(
    store: Store, tmp_path: Path
) -> None:
    params, account_id = {"from": "345"}, await account(store)
    async with carrier() as simulator:
        for number, public_url in enumerate(("https://mistyped.example.org", PUBLIC), 1):
            fields = {"remote_request_params": params, ATTEMPT_NUMBER: number}
            await queued_calls(store, account_id, [f"+1555001000{number}"], **fields)
            async with background(store, settings_for(simulator.base_url, tmp_path, public_url=public_url)) as jobs:
                await pass_over(jobs.dispatcher)
        *_, last = simulator.carrier.calls
        assert (last.options.url, last.options.status_callback) == (WEBHOOK, WEBHOOK)
    assert [call["remote_request_params"] for call in await calls_of(store)] == [params, params]

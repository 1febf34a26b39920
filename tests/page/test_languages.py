"""Every view beside the alerts, in French and Khmer, on a small phone: no text is missing, nothing is too wide."""

from __future__ import annotations

import re

import pytest

from tests.page.browsing import NARROW, Page
from tests.resources.conftest import make
from tests.server import wait_until
from tests.sounds import sound, upload

# The name of a text, where a text should stand.
KEY = re.compile(r"\b(?:contacts|person|flows?|audio|calls?|users|tokens|settings|audit|shell|status)\.[a-z_]+\b")
STEPS = {"a": {"say": {"en": "The water is rising."}, "menu": {"digits": {"1": "b"}}}, "b": {"hang_up": True}}


def addresses(page: Page) -> list[str]:
    """The views, of an account in which there is one of everything."""
    contact = make(page.api, "/api/contacts", msisdn="+15005550011", metadata={"name": "Sok Dara"})
    flow = make(
        page.api, "/api/call_flows", name="flood", definition={"languages": ["en"], "start": "a", "steps": STEPS}
    )
    upload(page.api, sound(), name="flood-km")
    plan = {"audience": {}, "remote_request_params": {"from": "1294"}}
    message = {"message": "The water is rising."}
    callout = make(page.api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", metadata=message, plan=plan)
    page.api.post(f"/api/callouts/{callout}/callout_events", {"event": "start"})
    wait_until(lambda: page.api.get(f"/api/callouts/{callout}").json["status"] == "completed")
    (call,) = page.api.get("/api/phone_calls").json
    tabs = [f"flows/{flow}?tab={tab}" for tab in ("text", "rehearsal", "diagram", "languages", "versions")]
    lists = ["contacts", "flows", "audio", "calls", "users", "tokens", "settings", "audit"]
    return [*lists, f"contacts/{contact}", f"calls/{call['id']}", *tabs]


@pytest.mark.parametrize("language", ["fr", "km"])
def test_every_view_speaks_the_language(page: Page, language: str) -> None:
    views = addresses(page)
    page.language(language)
    page.resize(NARROW)
    for address in views:
        page.go(f"#/{address}")
        page.wait(lambda: not page.all("p.busy"))
        assert not KEY.search(page.text()), address
        page.check_width()
        page.picture(f"{re.sub('[^a-z]+', '-', address)}-{language}-360")

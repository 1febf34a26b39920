"""Whatever contacts, callers, providers and addresses hold is shown as text, in every view."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.flows.phone_line import PhoneLine, new_sid
from tests.page.browsing import HOSTILE, Page
from tests.resources.conftest import make
from tests.server import Client
from tests.sounds import sound, upload

# Further ways in than those of HOSTILE: out of an attribute, by an address, by elements that need no script tag.
PAYLOADS = (
    HOSTILE,
    '" onfocus="window.hacked=\'attribute\'" autofocus x="',
    "javascript:window.hacked='address'",
    "</script></title></textarea><svg/onload=\"window.hacked='svg'\"><img src=x>",
    "data:text/html,<script>parent.hacked='data'</script>",
)
NUMBER = "+85510300001"
TOKEN = "0123456789abcdef" * 2


def sid_of(api: Client) -> str:
    """A sid that no other account has."""
    return f"AC{api.get('/api/account').json['id']:032d}"


def calls_in(api: Client, payload: str) -> int:
    """A caller, and a provider, who wish ill: the id of the call."""
    line = PhoneLine(api.server, sid_of(api), TOKEN)
    sid = new_sid()
    asked = dict.fromkeys(("CallerName", "FromCity", "Digits", "SpeechResult", payload[:60]), payload)
    first = line.report(sid, From=NUMBER, **asked)
    assert first.status == 201, first
    ended = {"CallStatus": "failed", "ErrorCode": payload[:30], "ErrorMessage": payload, "AnsweredBy": payload[:30]}
    url = {"RecordingUrl": "javascript:window.hacked='recording'"}
    assert line.report(sid, From=NUMBER, **ended, **url).status in (201, 422)
    return int(api.get("/api/phone_calls").json[-1]["id"])


def fill(api: Client, payload: str) -> dict[str, int]:
    """Each field that takes a text has PAYLOAD; the ids of what was made."""
    contact = make(
        api, "/api/contacts", msisdn=NUMBER, metadata={"name": payload, payload: payload, "a": {payload: 1}}
    )
    plan = {
        "audience": {"contact_filter_params": {"metadata": {payload: payload}}},
        "remote_request_params": {"from": payload[:20]},
        "emergency": {"reason": payload, "severity": "minor"},
    }
    told = {"title": payload, "message": {payload[:35]: payload}, payload: payload}
    callout = make(api, "/api/callouts", call_flow_logic="CallFlowLogic::Message", metadata=told, plan=plan)
    make(api, f"/api/callouts/{callout}/callout_participations", contact_id=contact, metadata={payload: payload})
    upload(api, sound(), name=payload.replace("/", " ")[:60])
    make(api, "/api/access_tokens", metadata={"name": payload})
    make(api, "/api/opt_outs", msisdn=NUMBER, reason=payload, metadata={payload: payload})
    say = {"en": payload.replace("{", "{{")}  # a single brace would begin a value
    definition = {"languages": ["en"], "start": "a", "steps": {"a": {"say": say, "hang_up": True}}}
    flow = make(api, "/api/call_flows", name="flow", definition=definition)
    return {"contact": contact, "callout": callout, "flow": flow, "call": calls_in(api, payload)}


def addresses(made: dict[str, int], payload: str) -> Iterator[str]:
    """All views, of what was made; and addresses of which a part is PAYLOAD."""
    yield from (
        "alerts",
        "contacts",
        "flows",
        "audio",
        "calls",
        "users",
        "tokens",
        "settings",
        "audit",
        "contacts/import",
    )
    yield f"alerts/{made['callout']}"
    yield f"alerts/new?id={made['callout']}"
    yield f"contacts/{made['contact']}"
    yield f"flows/{made['flow']}"
    yield f"calls/{made['call']}"
    part = quote(payload, safe="")
    yield from (part, f"alerts/{part}", f"drills/{part}", f"contacts/{part}", f"flows/{part}", f"calls/{part}")
    yield f"contacts?field={part}&value={part}"
    yield f"contacts?field=metadata.{part}&value={part}&page={part}"
    yield f"alerts/new?metadata={quote(json.dumps({payload: payload}), safe='')}"
    yield f"calls?number={part}&status={part}&callout={part}&from={part}&page={part}"
    yield f"audit?actor={part}&action={part}&subject={part}&id={part}&until={part}"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_that_strangers_write_runs(page: Page, payload: str) -> None:
    sid, token = sid_of(page.api), TOKEN
    settings = {"platform_provider_name": "twilio", "twilio_account_sid": sid, "twilio_auth_token": token}
    assert page.api.patch("/api/account", json=settings).status == 204
    made = fill(page.api, payload)
    for address in addresses(made, payload):
        page.browser.execute_script("location.hash = arguments[0]", f"#/{address}")
        page.wait(lambda: page.all("#content h1") and not page.all("#content .busy"))
        # What is closed at first, too: details of calls and changes of the audit log.
        page.browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
        page.check_harmless()
        links = "return [...document.querySelectorAll('a[href]')].map((one) => one.protocol)"
        assert set(page.browser.execute_script(links)) <= {"http:"}, address
    assert page.complaints() == []


def test_no_other_site_frames_it(page: Page) -> None:
    page.browser.get(f"data:text/html,<iframe src='{page.url}/'></iframe>")
    page.browser.switch_to.frame(0)
    page.wait(lambda: page.browser.execute_script("return document.URL") == "chrome-error://chromewebdata/")

"""At LOG_LEVEL=debug the log shows every request, and no token, password, cookie or phone number.

The same holds for the log of the whole guide: see ``tests/guide``.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance.test_documents import ROOT, assert_answered, steps
from tests.acceptance.test_start import LINE
from tests.browser import COOKIE, Browser
from tests.log_secrets import assert_no_secrets
from tests.server import Server, wait_until

REQUEST = re.compile(
    r".* (DEBUG|INFO) scfm\.http: [A-Z]+ (/\S*|\(other\)) \d{3} \d+\.\d ms, account (\d+|-) \(request \S+\)"
)
SECRETS = {"password": "correct-horse", "auth token": "0123456789abcdef0123456789abcdef", "stray": "f" * 64}
NUMBER = "+252662345699"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the documents' requests are made with curl")
def test_no_line_of_the_log_has_a_secret_or_a_number(tmp_path: Path) -> None:
    environment = {
        "PLATFORM_PROVIDER": "simulator",
        "LOG_LEVEL": "debug",
        "REGISTERED_CALL_FLOW_LOGIC": "CallFlowLogic::AvfCapom::CapomShort",
    }
    with Server(tmp_path, environment) as server:
        for step in steps(ROOT / "docs" / "getting-started.md"):
            assert_answered(step, server)
        made = sign_in_and_out(server)
        ask_what_is_refused(server)
        wait_until(lambda: any(" 401 " in line for line in server.stderr))
    requests = len([line for line in server.stderr if REQUEST.fullmatch(line)])
    assert requests > 50
    assert all(LINE.fullmatch(line) for line in server.stderr)
    assert_no_secrets(server.stderr, server.token, server.first_user[1], *SECRETS.values(), *made)
    # And none but those of requests that grows with the calls.
    of_the_background = [line for line in server.stderr if " INFO " in line and not REQUEST.fullmatch(line)]
    assert len(of_the_background) < 40


def sign_in_and_out(server: Server) -> list[str]:
    """Make a token, a user and sessions, also with a wrong password; the secrets that came of it."""
    token = server.request("POST", "/api/access_tokens", json={"name": "for a test"}).json["token"]
    user = {"email": "anne@example.org", "password": SECRETS["password"]}
    assert server.request("POST", "/api/users", json=user).status == 201
    assert Browser(server).sign_in(user["email"], SECRETS["stray"]).status == 401
    assert Browser(server).sign_in(SECRETS["auth token"], SECRETS["stray"]).status == 401
    browser = Browser(server)
    assert browser.sign_in(user["email"], user["password"]).status == 201
    made = [token, browser.cookies[COOKIE], browser.csrf_token]
    assert browser.get("/api/account").status == 200
    assert browser.delete("/session").status == 204
    assert (
        server.request("GET", "/session", headers={"Cookie": f"{COOKIE}={SECRETS['stray']}"}, token="").status == 401
    )
    for status in ("anne@example.org", SECRETS["auth token"]):
        assert not any(status in line for line in server.stderr)
    return made


def ask_what_is_refused(server: Server) -> None:
    """Requests that hold secrets and numbers in every place there is, most of which the server refuses."""
    account = {"twilio_account_sid": "AC1", "twilio_auth_token": SECRETS["auth token"]}
    server.request("PATCH", "/api/account", form=account)
    server.request("POST", "/api/users", form={"email": "a@example.org", "password": SECRETS["password"]})
    server.request("POST", "/api/contacts", form={"msisdn": NUMBER + "12345678"})
    server.request(
        "POST", "/api/contacts/import", body=f"msisdn\n{NUMBER}x\n".encode(), headers={"Content-Type": "text/csv"}
    )
    for path in (
        f"/api/contacts?access_token={SECRETS['stray']}&q[msisdn]=%2B{NUMBER[1:]}",
        f"/api/contacts/{NUMBER}",
        f"/{SECRETS['stray']}",
        f"/api/callouts/1/{SECRETS['stray']}?to={NUMBER}",
    ):
        server.request("GET", path)
    server.request("GET", "/api/contacts", token=SECRETS["stray"])
    server.request("GET", "/api/contacts", token="", headers={"X-Request-Id": SECRETS["stray"]})
    report = {"AccountSid": "AC1", "CallSid": "CA1", "From": NUMBER, "Direction": "inbound"}
    for sid in ("AC1", NUMBER, SECRETS["stray"]):
        form = {**report, "AccountSid": sid, "CallSid": sid}
        server.request("POST", f"/api/remote_phone_call_events?from={NUMBER}", form=form, token="")
    server.request("POST", "/api/contacts", body=b'{"msisdn": ', headers={"Content-Type": "application/json"})


def test_who_is_refused_to_sign_in_is_told_in_the_log_with_the_reason_and_not_for_every_try(tmp_path: Path) -> None:
    with Server(tmp_path, {"PLATFORM_PROVIDER": "simulator"}) as server:
        email, password = server.first_user
        for _ in range(7):
            Browser(server).sign_in(email, "wrong")
        Browser(server).sign_in("nobody@example.org", "wrong")
        Browser(server).sign_in(email, password, headers={"Origin": "https://evil.example.org"})
        wait_until(lambda: any("not this server" in line for line in server.stderr))
    told = [line.partition(" scfm.http: ")[2] for line in server.stderr if " WARNING scfm.http: " in line]
    reasons = [re.sub(r" \(from 127\.0\.0\.1\) \(request \S+\)$", "", line) for line in told]
    wrong = "sign-in refused: the password of user 1 of account 1 is another"
    assert reasons == [
        *[wrong] * 5,
        *["sign-in refused: too many wrong passwords were tried"] * 2,
        "sign-in refused: the page is not this server's: see PUBLIC_URL",
    ]
    assert_no_secrets(server.stderr, password, email)

"""At LOG_LEVEL=debug the log shows every request, and no token, password or phone number."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance.test_documents import ROOT, assert_answered, steps
from tests.acceptance.test_start import LINE
from tests.server import Server, wait_until

REQUEST = re.compile(
    r".* DEBUG scfm\.http: [A-Z]+ (/\S*|\(no route\)) \d{3} \d+\.\d ms, account (\d+|-) \(request \S+\)"
)
SECRETS = {"password": "correct-horse", "auth token": "0123456789abcdef0123456789abcdef", "stray": "f" * 64}
NUMBER = "+252662345699"
# A phone number; ids, times and milliseconds have fewer digits in a row, and a request id is hexadecimal.
DIGITS = re.compile(r"(?<![0-9a-f-])\+?[0-9]{9,}(?![0-9a-f-])")


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
        _ask_what_is_refused(server)
        requests = len([line for line in server.stderr if REQUEST.fullmatch(line)])
        wait_until(lambda: any(" 401 " in line for line in server.stderr))
    assert requests > 50
    for line in server.stderr:
        assert LINE.fullmatch(line), line
        assert server.token not in line
        assert not any(secret in line for secret in SECRETS.values()), line
        assert not DIGITS.search(line), line
    # And none that grows with the calls.
    assert len([line for line in server.stderr if " INFO " in line]) < 40


def _ask_what_is_refused(server: Server) -> None:
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
    report = {"AccountSid": "AC1", "CallSid": "CA1", "From": NUMBER, "Direction": "inbound"}
    server.request("POST", "/api/remote_phone_call_events", form=report, token="")
    server.request("POST", "/api/contacts", body=b'{"msisdn": ', headers={"Content-Type": "application/json"})

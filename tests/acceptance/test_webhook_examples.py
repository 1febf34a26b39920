"""What docs/webhooks.md has for receivers is right, and so is what the library of Standard Webhooks says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from scfm.endpoint_client.signature import new_secret, signed_headers
from scfm.handlers.openapi.webhooks import EVENTS_TOLD
from scfm.models.webhook_attempts import RETRY_DELAYS
from scfm.models.webhook_event import EVENT_TYPES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
BODY = '{"type":"opt_out.created","data":{"reason":"ទឹកជំនន់ \\u00e9"}}'.encode()
SECRETS = [new_secret() for _ in range(3)]


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(found)


def cases() -> list[tuple[bool, str, dict[str, str], bytes]]:
    """Requests: whether each is genuine, by which secret, the headers and the body."""
    moment = int(time.time())
    good = signed_headers(SECRETS[:2], "evt_1", moment, BODY)
    old = signed_headers(SECRETS[:2], "evt_1", moment - 3600, BODY)
    return [
        (True, SECRETS[0], good, BODY),
        (True, SECRETS[1], good, BODY),
        (False, SECRETS[2], good, BODY),
        (False, SECRETS[0], good, BODY + b" "),
        (False, SECRETS[0], {**good, "webhook-id": "evt_2"}, BODY),
        (False, SECRETS[0], {**good, "webhook-timestamp": str(moment - 1)}, BODY),
        (False, SECRETS[0], {**good, "webhook-signature": "v1,AAAA v2,x"}, BODY),
        (False, SECRETS[0], old, BODY),
    ]


def test_the_function_in_python_tells_genuine_requests_from_others() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    for genuine, secret, headers, body in cases():
        assert names["is_genuine"](secret, headers, body) is genuine


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")
def test_the_function_in_node_tells_genuine_requests_from_others(tmp_path: Path) -> None:
    asked = [[secret, headers, body.decode()] for _, secret, headers, body in cases()]
    script = tmp_path / "verify.cjs"
    told = "asked.map(([secret, headers, body]) => isGenuine(secret, headers, Buffer.from(body)))"
    script.write_text(
        f"{block('js')}\nconst asked = {json.dumps(asked)};\nconsole.log(JSON.stringify({told}));\n", encoding="utf-8"
    )
    ended = subprocess.run(["node", str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout) == [genuine for genuine, *_ in cases()]


def test_the_library_takes_our_signatures_and_no_others() -> None:
    library = pytest.importorskip("standardwebhooks")
    for genuine, secret, headers, body in cases():
        if genuine:
            assert library.Webhook(secret).verify(body, headers) == json.loads(body)
        else:
            with pytest.raises(library.WebhookVerificationError):
                library.Webhook(secret).verify(body, headers)


def test_the_document_names_every_event_and_every_wait() -> None:
    assert set(EVENTS_TOLD) == set(EVENT_TYPES)
    assert set(re.findall(r"`([a-z_]+\.[a-z]+)`", DOCUMENT)) >= set(EVENT_TYPES)
    text = " ".join(DOCUMENT.split())
    waits = "5 seconds, 1 minute, 5 minutes, 30 minutes, 2 hours, 6 hours, 12 hours and 24 hours"
    seconds = {"second": 1, "minute": 60, "hour": 3600}
    written = re.findall(r"(\d+) (second|minute|hour)", waits)
    assert waits in text and tuple(int(count) * seconds[unit] for count, unit in written) == RETRY_DELAYS

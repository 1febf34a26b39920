"""How long a provider waits for TwiML while the same process places calls: ``python -m benchmarks.webhook_latency``.

Twenty callers walk a survey, a webhook a second each, first with nothing else to do, then while thousands of queued
calls are sent to a carrier in a process of its own. A webhook that is sent late because the machine is busy counts
from when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
from twilio.request_validator import RequestValidator

from benchmarks.measure import table
from tests.acceptance.alerts import REQUEST, await_finished, carrier, import_contacts, queue
from tests.server import Server

SID, TOKEN = "AC" + "1" * 32, "secret"
SURVEY = "CallFlowLogic::AvfCapom::CapomShort"
CALLERS = 20  # at a time, each with a webhook a second
MOST_SECONDS = 40.0
PATIENCE_SECONDS = 15.0  # of Twilio
# What one caller sends, from the first ring to the end.
STEPS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"Digits": "1"},
    {"Digits": "2"},
    {"RecordingUrl": "https://example.org/recordings/RE1", "RecordingDuration": "4"},
    {"Digits": "1"},
    {"CallStatus": "completed", "CallbackSource": "call-progress-events", "SequenceNumber": "3"},
)


def report(number: int) -> dict[str, str]:
    """The parameters of the webhook of that number."""
    group, position = divmod(number, CALLERS * len(STEPS))
    step, caller = divmod(position, CALLERS)
    caller += group * CALLERS
    return {
        "AccountSid": SID,
        "CallSid": f"CA{caller:032}",
        "CallStatus": "in-progress",
        "Direction": "inbound",
        "From": f"+85512{caller:06}",
        "To": "+85523000000",
        **STEPS[step],
    }


class Caller:
    """Sends signed webhooks at a steady rate, whether or not the earlier ones have been answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}/api/remote_phone_call_events"
        self._sign = RequestValidator(TOKEN).compute_signature
        self._sent = 0

    async def call_until(self, over: Callable[[], bool]) -> list[float]:
        """How long each webhook took, in seconds, until it is OVER or a minute has gone by."""
        loop = asyncio.get_running_loop()
        begin, posts = loop.time(), []
        while not over() and (due := begin + len(posts) / CALLERS) < begin + MOST_SECONDS:
            await asyncio.sleep(due - loop.time())
            posts.append(asyncio.create_task(self._post(self._sent, due)))
            self._sent += 1
        return list(await asyncio.gather(*posts))

    async def _post(self, number: int, due: float) -> float:
        parameters = report(number)
        headers = {
            "X-Twilio-Signature": self._sign(self._url, parameters),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self._session.post(self._url, data=urlencode(parameters), headers=headers) as answer:
            text = await answer.text()
        assert answer.status == 201, (answer.status, text)
        return asyncio.get_running_loop().time() - due


def prepare(server: Server, calls: int) -> None:
    """So many contacts with a call to each, which are not queued yet."""
    import_contacts(server, calls)
    assert server.request("POST", "/api/callouts").status == 201
    await_finished(
        server, queue(server, "/api/callouts/1/batch_operations", type="BatchOperation::CalloutPopulation")
    )
    create = {"type": "BatchOperation::PhoneCallCreate", "parameters": {"remote_request_params": REQUEST}}
    await_finished(server, queue(server, "/api/batch_operations", **create))


class Ledger:
    """What the carrier writes down, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._requests = 0

    def requests(self) -> int:
        """How many calls the carrier has been asked for."""
        self._requests += sum(b'"request"' in line for line in self._file)
        return self._requests


async def measure(server: Server, ledger: Ledger, calls: int, idle: int) -> str:
    """The figures, as text."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        caller = Caller(session, server.url)
        await caller.call_until(_after(1.0))
        quiet = await caller.call_until(_after(idle / CALLERS))
        began = time.monotonic()
        await asyncio.to_thread(queue, server, "/api/batch_operations", type="BatchOperation::PhoneCallQueue")
        draining = await caller.call_until(lambda: ledger.requests() >= calls)
        seconds = time.monotonic() - began
    sent = ledger.requests()
    rate = f"{sent} of {calls} calls placed in {seconds:.1f} s, {sent / seconds:.0f} a second"
    return f"{table({'idle': quiet, 'draining': draining})}\n{rate}"


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def main() -> None:
    parser = argparse.ArgumentParser(description="How long a provider waits for TwiML while calls are placed.")
    parser.add_argument("--short", action="store_true", help="few calls, only to see that it runs")
    calls, idle = (300, 40) if parser.parse_args().short else (10_000, 200)
    with tempfile.TemporaryDirectory(prefix="scfm-bench-") as folder:
        ledger = Path(folder) / "ledger"
        with carrier(ledger) as url:
            environment = {
                "PLATFORM_PROVIDER": "twilio",
                "TWILIO_ACCOUNT_SID": SID,
                "TWILIO_AUTH_TOKEN": TOKEN,
                "TWILIO_CLIENT_REST_API_BASE_URL": url,
                "REGISTERED_CALL_FLOW_LOGIC": SURVEY,
                "DEFAULT_CALL_FLOW_LOGIC": SURVEY,
            }
            with Server(Path(folder) / "data", environment) as server:
                prepare(server, calls)
                print(asyncio.run(measure(server, Ledger(ledger), calls, idle)))


if __name__ == "__main__":
    main()

"""One trial: people are called while everything that can go wrong does; then the books are compared."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from typing import Any

from pymongo.errors import PyMongoError

from tests.server import Client, wait_until
from tests.torture.audit import FINAL, Verdict, examine
from tests.torture.carrier import Carrier
from tests.torture.client import PatientClient
from tests.torture.house import House
from tests.torture.plan import Blow, Plan

SPOKEN = "<Response><Say>Leave the valley now.</Say></Response>"
REST_SECONDS = 60.0
JOIN_SECONDS = 120.0


def try_seed(house: House, seed: int) -> Verdict:
    """The verdict on the trial of this seed."""
    plan = Plan.of(seed)
    sid, token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
    with Carrier(house.carrier_port, account_sid=sid, auth_token=token, seed=seed, faults=plan.faults) as carrier:
        return Trial(house, plan, carrier, sid, token).run()


class Trial:
    """People of an account of their own, and the callout that warns them."""

    def __init__(self, house: House, plan: Plan, carrier: Carrier, sid: str, token: str) -> None:
        self._house = house
        self._plan = plan
        self._carrier = carrier
        self.account_id, access_token = self._new_account(sid, token)
        self._access_token = access_token
        self._client = PatientClient(house.servers, access_token, plan.seed)
        self._numbers = [f"+2526{number:08d}" for number in range(plan.people)]
        self._failure: BaseException | None = None
        self._callout = ""
        self._queueing = False
        self._warning = threading.Thread(target=self._warn_somehow, daemon=True)

    def _new_account(self, sid: str, token: str) -> tuple[int, str]:
        limits = {"calls_per_second": self._plan.rate, "calls_in_flight": self._plan.in_flight}
        fields = {"twilio_account_sid": sid, "twilio_auth_token": token, **limits}
        super_admin = PatientClient(self._house.servers, self._house.token)
        account = super_admin.post("/api/accounts", fields)["id"]
        return account, super_admin.post("/api/access_tokens", {"account_id": account})["token"]

    def run(self) -> Verdict:
        """Warn everybody under the plan's blows, wait until there is rest, and compare the books."""
        self.gather()
        self.begin()
        if not self._plan.early:
            wait_until(lambda: self._queueing or self._failure, REST_SECONDS)
        for blow in self._plan.blows:
            time.sleep(blow.after)
            self._strike(blow)
        self._house.mend()
        self.end()
        verdict = self.verdict()
        verdict.figures.update(trials=1, troubles=self._client.troubles.total())
        return verdict

    def gather(self) -> None:
        """Make everybody a contact, in peace."""
        client = Client(self._house.servers[0], self._access_token)
        lines = "".join(f'{{"msisdn": "{number}"}}\n' for number in self._numbers)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = client.post("/api/contacts/import", body=lines.encode(), headers=headers)
        assert answer.status in (200, 201), answer

    def begin(self) -> None:
        """Begin to warn everybody."""
        self._warning.start()

    def end(self) -> None:
        """Wait until everybody's call is queued. Raises what has kept one from it."""
        self._warning.join(JOIN_SECONDS)
        if self._failure is not None:
            raise self._failure

    def verdict(self) -> Verdict:
        """The verdict, once nothing moves any more; if something never ends, it says what."""
        with self._house.database() as client:
            with suppress(AssertionError):
                wait_until(lambda: self._at_rest(client.scfm), REST_SECONDS, every=0.05)
            return examine(client.scfm, self.account_id, self._numbers, self._carrier)

    def _warn_somehow(self) -> None:
        try:
            self._warn()
        except BaseException as error:
            self._failure = error

    def _warn(self) -> None:
        client = self._client
        self._callout = f"/api/callouts/{client.post('/api/callouts')['id']}"
        client.post(f"{self._callout}/callout_events", {"event": "start"})
        self._operate("CalloutPopulation", f"{self._callout}/batch_operations", {})
        webhook = f"{self._house.servers[0].url}/api/remote_phone_call_events"
        request = {
            "from": "345",
            "twiml": SPOKEN,
            "status_callback": webhook,
            "status_callback_event": list(self._plan.events),
        }
        self._operate("PhoneCallCreate", "/api/batch_operations", {"remote_request_params": request})
        self._operate("PhoneCallQueue", "/api/batch_operations", {})

    def _operate(self, kind: str, path: str, parameters: dict[str, Any]) -> None:
        fields = {"type": f"BatchOperation::{kind}", "parameters": parameters}
        number = self._client.post(path, fields)["id"]
        operation = f"/api/batch_operations/{number}"
        self._client.post(f"{operation}/batch_operation_events", {"event": "queue"})
        self._queueing = kind == "PhoneCallQueue"
        wait_until(lambda: self._client.get(operation)["status"] == "finished", REST_SECONDS, every=0.05)

    def _strike(self, blow: Blow) -> None:
        if blow.kind == "pause callout":
            self._pause(blow.seconds)
        else:
            self._house.strike(blow.kind, blow.whom, blow.seconds)

    def _pause(self, seconds: float) -> None:
        wait_until(lambda: self._callout or self._failure)
        if self._client.get(self._callout)["status"] != "running":
            return
        self._client.move(self._callout, "callout_events", "pause", "paused")
        self._house.blows["callout paused"] += 1
        time.sleep(seconds)
        self._client.move(self._callout, "callout_events", "resume", "running")

    def _at_rest(self, database: Any) -> bool:
        busy = [{"status": {"$nin": list(FINAL)}}, {"_work": {"$exists": True}}]
        open_still = {"account_id": self.account_id, "$or": busy}
        try:
            return database.phone_calls.find_one(open_still) is None
        except PyMongoError:
            return False

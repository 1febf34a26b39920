"""A trial of an alert with a plan: it calls, pauses, is held, stops and goes on, while servers and databases die."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from pymongo.errors import PyMongoError

from scfm.clock import now
from scfm.models.call_lifecycle import UNDER_WAY
from scfm.models.outcome import MARKED
from scfm.simulator.callee import CalleeRule
from tests.server import wait_until
from tests.torture.alert import LIFE_SIZE, Alert, Deed
from tests.torture.alert_audit import Events, Looks, examine_alert
from tests.torture.audit import Verdict
from tests.torture.carrier import Carrier
from tests.torture.client import PatientClient
from tests.torture.house import House

FLOW = {"call_flow_logic": "CallFlowLogic::Message", "metadata": {"message": "Leave the valley now."}}
OVER_SECONDS = 240.0
LOOK_SECONDS = 0.25


def try_alert(house: House, seed: int) -> Verdict:
    """The verdict on the alert of this seed."""
    alert = Alert.of(seed)
    sid, token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
    numbers = [f"+2526{seed % 1000:03}{number:05}" for number in range(len(alert.scripts))]
    rules: list[CalleeRule] = alert.rules(numbers)
    options = {"account_sid": sid, "auth_token": token, "seed": seed, "faults": alert.faults, "callees": rules}
    with Carrier(house.carrier_port, life_size=LIFE_SIZE, **options) as carrier:
        return AlertTrial(
            house, alert, carrier, numbers, {"twilio_account_sid": sid, "twilio_auth_token": token}
        ).run()


class AlertTrial:
    """People of an account of their own, whom a callout with a plan warns.

    ``look_seconds``: how often the people are counted meanwhile. ``over_seconds``: what takes longer does not end.
    """

    look_seconds, over_seconds, over_look_seconds = LOOK_SECONDS, OVER_SECONDS, 0.1

    def __init__(
        self, house: House, alert: Alert, carrier: Carrier, numbers: list[str], credentials: dict[str, str]
    ) -> None:
        self._house, self._alert, self._carrier, self._numbers = house, alert, carrier, numbers
        self._super_admin = PatientClient(house.servers, house.token, alert.seed)
        self._account_id = self._super_admin.post("/api/accounts", credentials)["id"]
        self._token = self._super_admin.post("/api/access_tokens", {"account_id": self._account_id})["token"]
        self._client = PatientClient(house.servers, self._token, alert.seed)
        self._onlooker = PatientClient(house.servers, self._token, alert.seed)
        self._events = Events()
        self._looks = Looks(len(numbers))
        self._over = threading.Event()
        self._callout = ""
        self._plan: dict[str, Any] = {}

    def run(self) -> Verdict:
        """Start the alert, do and suffer what the seed says, wait until nobody is called any more, and look."""
        self.carry_out()
        return self.verdict()

    def carry_out(self) -> None:
        """All of that but the look."""
        self._gather()
        callout = self._client.post("/api/callouts", {"plan": self._alert.plan_at(now()), **FLOW})
        self._plan = callout["plan"]
        self._callout = f"/api/callouts/{callout['id']}"
        with ThreadPoolExecutor(2) as pool:
            tasks = [pool.submit(self._do_all), pool.submit(self._look_on)]
            try:
                for blow in self._alert.blows:
                    time.sleep(blow.after)
                    self._house.strike(blow.kind, blow.whom, blow.seconds)
                self._house.mend()
                tasks[0].result(self.over_seconds)
                with suppress(AssertionError):  # then the verdict says what does not end
                    wait_until(
                        lambda: self._is_over() or _failed(tasks), self.over_seconds, every=self.over_look_seconds
                    )
            finally:
                self._over.set()
        for task in tasks:
            task.result()

    def verdict(self) -> Verdict:
        """What the books say of an alert that is over."""
        verdict = examine_alert(
            self._house.uri, self._account_id, self._numbers, self._carrier, self._plan, self._events
        )
        verdict.blame("the people are counted wrong", self._looks.wrong)
        troubles = self._client.troubles + self._super_admin.troubles + self._onlooker.troubles
        verdict.figures.update(trials=1, looks=self._looks.count, troubles=troubles.total())
        return verdict

    def _gather(self) -> None:
        lines = "".join(f"{number}\n" for number in self._numbers)
        self._client.upload("/api/contacts/import", "text/csv", f"msisdn\n{lines}".encode())

    def _is_over(self) -> bool:
        """Whether the callout has ended by itself, and nothing is worked into outcomes any more."""
        account = {"account_id": self._account_id}
        try:
            with self._house.database() as client:
                database = client.scfm
                return (
                    database.callouts.find_one({**account, "status": "completed"}) is not None
                    and database.phone_calls.find_one({**account, "status": {"$in": list(UNDER_WAY)}}) is None
                    and database.phone_calls.find_one({**account, "_work": {"$exists": True}}) is None
                    and database.phone_calls.find_one({**account, **MARKED}) is None
                    and database.callout_participations.find_one({**account, **MARKED}) is None
                )
        except PyMongoError:
            return False

    def _look_on(self) -> None:
        """Ask all the time how many people have each outcome."""
        while not self._over.wait(self.look_seconds):
            self._looks.add(self._onlooker.get(f"{self._callout}/statistics")["people"])

    # What the client does

    def _do_all(self) -> None:
        self._fire("start", "running", "completed")
        for deed in self._alert.deeds:
            time.sleep(deed.after)
            self._deeds[deed.kind](self, deed)

    def _fire(self, event: str, *statuses: str, **fields: Any) -> str:
        return self._client.move(self._callout, "callout_events", event, *statuses, **fields)

    def _pause(self, deed: Deed) -> None:
        if self._fire("pause", "paused", "completed") == "paused":
            self._events.close("paused", deed.seconds)
            self._fire("resume", "running", "completed")

    def _stop(self, deed: Deed) -> None:
        if self._fire("stop", "stopped", "completed", hang_up=deed.hang_up) == "stopped":
            self._events.hung_up |= deed.hang_up
            self._events.close("stopped", deed.seconds)
            self._fire("resume", "running", "completed")

    def _hold_account(self, deed: Deed) -> None:
        self._hold(self._client, "/api/account/account_events", deed)

    def _hold_server(self, deed: Deed) -> None:
        self._hold(self._super_admin, "/api/server/server_events", deed)

    def _hold(self, client: PatientClient, path: str, deed: Deed) -> None:
        client.repeat(path, {"event": "hold"})
        self._events.close("held", deed.seconds)
        client.repeat(path, {"event": "release"})

    def _opt_out(self, deed: Deed) -> None:
        for person in deed.people:
            self._client.repeat("/api/opt_outs", {"msisdn": self._numbers[person]}, 422)  # 422: it is there already
            self._events.opted_out.setdefault(self._numbers[person], time.time())

    _deeds: dict[str, Callable[[AlertTrial, Deed], None]] = {
        "pause": _pause,
        "stop": _stop,
        "hold account": _hold_account,
        "hold server": _hold_server,
        "opt out": _opt_out,
    }


def _failed(tasks: list[Future[None]]) -> bool:
    return any(task.done() and task.exception() is not None for task in tasks)

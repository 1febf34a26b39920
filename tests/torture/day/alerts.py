"""The alerts of a day: a new one every few seconds, each with people and an account of its own."""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from scfm.simulator.callee import CalleeRule
from tests.torture.alert import Alert, Deed
from tests.torture.alert_trial import AlertTrial
from tests.torture.audit import Verdict
from tests.torture.carrier import Carrier
from tests.torture.client import PatientClient
from tests.torture.day.house import DayHouse

MAX_AT_ONCE = 60
# Between two holds, so that they are not one long hold for who looks every other second.
HOLD_GAP_SECONDS = 5.0
# One hold at a time: a release by another alert would lift the one of the whole server.
_HOLDING = threading.Lock()


class DayAlert(AlertTrial):
    """An alert among others, which may have to wait for the incidents of the day."""

    look_seconds, over_seconds, over_look_seconds = 2.0, 900.0, 1.0

    def _hold(self, client: PatientClient, path: str, deed: Deed) -> None:
        with _HOLDING:
            super()._hold(client, path, deed)
            time.sleep(HOLD_GAP_SECONDS)


class Alerts:
    """The alerts of the seeds from 1 on, and who answers in each."""

    def __init__(self, count: int) -> None:
        self._alerts = [replace(Alert.of(seed), blows=()) for seed in range(1, count + 1)]
        self._trials: list[DayAlert] = []
        self._failed: list[str] = []

    def rules(self) -> list[CalleeRule]:
        """Who answers, for the carrier."""
        return [rule for alert in self._alerts for rule in alert.rules(_numbers(alert))]

    @property
    def begun(self) -> int:
        """How many have begun."""
        return len(self._trials)

    def carry_out(self, house: DayHouse, carrier: Carrier, every: float, over: threading.Event) -> None:
        """Start one EVERY so many seconds until it is OVER, and wait until all have ended."""
        with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
            for alert in self._alerts:
                pool.submit(self._carry_out, house, carrier, alert)
                if over.wait(every):
                    break

    def _carry_out(self, house: DayHouse, carrier: Carrier, alert: Alert) -> None:
        try:
            credentials = {
                "twilio_account_sid": "AC" + secrets.token_hex(16),
                "twilio_auth_token": secrets.token_hex(16),
            }
            trial = DayAlert(house, alert, carrier, _numbers(alert), credentials)
            self._trials.append(trial)
            trial.carry_out()
        except Exception:
            self._failed.append(f"alert {alert.seed} broke off: {traceback.format_exc()}")

    def verdict(self) -> Verdict:
        """What the books say of all of them."""
        verdict = Verdict(violations=list(self._failed))
        for trial in self._trials:
            try:
                found = trial.verdict()
            except Exception:
                verdict.violations.append(f"an alert cannot be examined: {traceback.format_exc()}")
                continue
            verdict.violations += found.violations
            verdict.figures += found.figures
        return verdict


def _numbers(alert: Alert) -> list[str]:
    return [f"+2526{alert.seed % 1000:03}{number:05}" for number in range(len(alert.scripts))]

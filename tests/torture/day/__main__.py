"""``python -m tests.torture.day``: 24 simulated hours of alerts, deaths and incidents, with Prometheus looking on.

It needs Debian's package prometheus. What scales with the time and what does not: CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scfm.simulator import carrier as simulated_carrier
from tests.torture.alert import LIFE_SIZE
from tests.torture.audit import Verdict
from tests.torture.carrier import Carrier, Faults
from tests.torture.day.alerts import Alerts
from tests.torture.day.house import KILLED, DayHouse
from tests.torture.day.incidents import KINDS, Incidents, fill_bytes
from tests.torture.day.prometheus import Prometheus
from tests.torture.day.rules import DayRules, names
from tests.torture.day.verdict import Firing, Incident, growth, wrong_alerts

DAY_MINUTES = 24 * 60
BLOWS = ("kill server", "kill mongod", "cut line")
# What goes wrong at the carrier at all times: of requests 3 in 100, of callbacks 15.
USUAL = Faults(
    drop_before=0.005,
    throttle=0.01,
    drop_after=0.005,
    error_after=0.005,
    timeout=0.005,
    malformed=0.005,
    slow=0.05,
    callback_lost=0.05,
    callback_doubled=0.05,
    callback_shuffled=0.05,
    callback_early=0.05,
    timeout_seconds=4.0,
    slow_seconds=0.2,
    retry_after=0.5,
)
# The memory of a process is allowed to grow by that beside a tenth; and its open files.
ALLOWED_MB, ALLOWED_FILES = 5.0, 10.0
TELL_SECONDS = 60


class Day:
    """One day, from the first start to the books."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._seconds = options.minutes * 60.0
        self._over = threading.Event()
        self._samples: list[tuple[float, float, float]] = []
        self._began = time.monotonic()
        self.incidents: list[Incident] = []
        self.fired: list[Firing] = []
        self.verdict = Verdict()
        self._alerts = Alerts(int(self._seconds / options.alert_every) + 1)

    def run(self, folder: Path) -> None:
        """Live it, in a folder that is empty."""
        # So that it is known of every call whether somebody acknowledged in it.
        vars(simulated_carrier)["MAX_TRANSCRIPTS"] = sys.maxsize
        filling = fill_bytes(folder)
        free = filling_threshold(folder, filling)
        rules = DayRules(DAY_MINUTES / self._options.minutes, free)
        with DayHouse(folder / "house") as house:
            self._house = house
            options = {"seed": 1, "faults": USUAL, "callees": self._alerts.rules(), "life_size": LIFE_SIZE}
            with (
                Carrier(house.carrier_port, **options) as carrier,
                Prometheus(folder / "prometheus", rules, house.ports) as prometheus,
            ):
                self._live(house, carrier, prometheus, filling)
            if self._options.show_logs:
                for server in house.servers:
                    print("\n".join(server.stderr))

    def _live(self, house: DayHouse, carrier: Carrier, prometheus: Prometheus, filling: int) -> None:
        began, self._began = time.time(), time.monotonic()
        incidents = Incidents(house, carrier, prometheus, USUAL, filling)
        self.incidents = incidents.done
        works: list[Callable[[], None]] = [
            self._kill,
            self._measure,
            lambda: self._carry_out(incidents),
            lambda: self._alerts.carry_out(house, carrier, self._options.alert_every, self._over),
        ]
        with ThreadPoolExecutor(len(works)) as pool:
            tasks = [pool.submit(work) for work in works]
            try:
                tasks[2].result()
                self._over.wait(self._seconds - (time.monotonic() - self._began))
            finally:
                self._over.set()
        for task in tasks:
            task.result()
        house.mend()
        self.fired = prometheus.fired(began, time.time())
        self.verdict = self._alerts.verdict()
        self._judge()

    def _judge(self) -> None:
        self.verdict.violations += wrong_alerts(self.fired, self.incidents)
        for name, place, allowed in (("MB resident", 1, ALLOWED_MB), ("open files", 2, ALLOWED_FILES)):
            found = growth([(sample[0], sample[place]) for sample in self._samples])
            quarters = f"{found.before:.1f} in the second quarter, {found.after:.1f} in the last"
            tell(f"{name}: {quarters}, {found.slope:+.1f} an hour")
            if not found.is_flat(allowed):
                self.verdict.violations.append(f"not flat: {name}")

    def _carry_out(self, incidents: Incidents) -> None:
        """One incident after the other, evenly over the day; the first when there are calls."""
        planned = self._options.incidents
        for number, name in enumerate(planned):
            due = (number + 0.5) * self._seconds / len(planned)
            if self._over.wait(max(0.0, due - (time.monotonic() - self._began))):
                return
            incident = incidents.carry_out(name)
            tell(f"{time.monotonic() - self._began:6.0f} s  {name}: {incident.ended - incident.began:.0f} s")

    def _kill(self) -> None:
        chance = random.Random(1)
        while not self._over.wait(self._options.kill_every):
            with self._house.whole:
                self._house.strike(chance.choice(BLOWS), KILLED, chance.uniform(0.2, 1.0))

    def _measure(self) -> None:
        while not self._over.wait(1.0):
            megabytes, files = self._house.footprint()
            self._samples.append((time.monotonic(), megabytes, files))
            if len(self._samples) % TELL_SECONDS == 0:
                elapsed = time.monotonic() - self._began
                tell(f"{elapsed:6.0f} s  {megabytes:.1f} MB resident, {files:.0f} files, {self._alerts.begun} alerts")

    def sum_up(self) -> int:
        """Print the figures; 0 where nothing was wrong."""
        tell(
            f"\n24 hours in {self._options.minutes:g} minutes: {DAY_MINUTES / self._options.minutes:g} times as fast"
        )
        for name, count in (*self.verdict.figures.items(), *self._house.blows.items()):
            tell(f"{count:8}  {name}")
        tell("\nalert                 fired  in")
        for alert in names():
            times = [firing for firing in self.fired if firing.alert == alert]
            why = {one.name for one in self.incidents for firing in times if one.explains(firing)}
            tell(f"{alert:20}  {len(times):5}  {', '.join(sorted(why))}")
        for violation in self.verdict.violations:
            tell(f"VIOLATION: {violation}")
        tell(f"{len(self.verdict.violations)} violations")
        return 1 if self.verdict.violations else 0


def filling_threshold(folder: Path, filling: int) -> float:
    """Below how many free bytes the disk counts as nearly full: with the large file, and not without."""
    return shutil.disk_usage(folder).free - filling / 2


def tell(line: str) -> None:
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="scfm-day-", ignore_cleanup_errors=True) as folder:
        day = Day(options)
        day.run(Path(folder))
        return day.sum_up()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.day", description=__doc__)
    parser.add_argument("--minutes", type=float, default=24.0, help="how long it takes (default: %(default)s)")
    parser.add_argument("--alert-every", type=float, default=15.0, help="seconds (default: %(default)s)")
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds (default: %(default)s)")
    parser.add_argument("--incidents", nargs="*", choices=KINDS, default=list(KINDS), help="which (default: all)")
    parser.add_argument("--show-logs", action="store_true", help="what the servers printed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""Trials in houses of one kind, one after the other, and of several kinds at the same time."""

from __future__ import annotations

import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.alert_trial import try_alert
from tests.torture.audit import Verdict
from tests.torture.house import HOUSES, House
from tests.torture.trial import try_seed

# By name, what is tried in a house: calls of batch operations, or an alert with a plan.
TRIALS: Mapping[str, Callable[[House, int], Verdict]] = {"calls": try_seed, "alerts": try_alert}


@dataclass
class Report:
    """What became of one seed, and what a house has suffered by then."""

    trial: str
    house: str
    seed: int
    seconds: float
    verdict: Verdict
    blows: Counter[str] = field(default_factory=Counter)

    @property
    def again(self) -> str:
        """How to repeat it."""
        trial = f"--trial {self.trial} --houses {self.house}"
        return f"python -m tests.torture {trial} --first {self.seed} --seeds 1 --show-logs"


def trials(
    trial: str, name: str, seeds: Sequence[int], stop: threading.Event, logs: Callable[[str], None]
) -> Iterator[Report]:
    """Try the seeds in a house of that name. One that a trial has broken is left for a new one.

    TRIAL is one of TRIALS. LOGS gets what the servers of each house have printed.
    """
    waiting = list(seeds)
    while waiting and not stop.is_set():
        try:
            with tempfile.TemporaryDirectory(prefix="scfm-torture-") as folder, HOUSES[name](Path(folder)) as house:
                while waiting and not stop.is_set():
                    report = _trial(trial, name, house, waiting.pop(0))
                    yield report
                    if report.verdict.figures["broken"]:
                        break
            for server in house.servers:
                logs(server.output())
        except Exception:  # the house would not come up, or go down
            if not waiting:
                raise
            yield Report(trial, name, waiting.pop(0), 0.0, _broken(traceback.format_exc()))


def _trial(trial: str, name: str, house: House, seed: int) -> Report:
    began, before = time.monotonic(), Counter(house.blows)
    try:
        verdict = TRIALS[trial](house, seed)
    except Exception:
        verdict = _broken(traceback.format_exc())
    return Report(trial, name, seed, time.monotonic() - began, verdict, house.blows - before)


def _broken(why: str) -> Verdict:
    return Verdict(violations=[why], figures=Counter(broken=1))


def side_by_side(
    trial: str,
    seeds: Mapping[str, Sequence[int]],
    tell: Callable[[Report], None],
    logs: Callable[[str], None] = lambda _: None,
) -> list[Report]:
    """Try the seeds of every kind of house at the same time; the reports. TELL gets each as it comes."""
    reports: list[Report] = []
    stop = threading.Event()

    def walk(name: str) -> None:
        for report in trials(trial, name, seeds[name], stop, logs):
            reports.append(report)
            tell(report)

    with ThreadPoolExecutor(len(seeds)) as pool:
        try:
            for walked in as_completed([pool.submit(walk, name) for name in seeds]):
                walked.result()
        finally:
            stop.set()
    return reports

"""``python -m tests.torture``: many seeds, in every kind of house, with the figures at the end."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.torture.house import HOUSES
from tests.torture.street import TRIALS, Report, side_by_side


def main() -> int:
    """Try the seeds; 0 if nothing was wrong."""
    options = _options()
    seeds = {
        name: range(options.first + position, options.first + options.seeds, len(options.houses))
        for position, name in enumerate(options.houses)
    }
    told: list[int] = []

    def tell(report: Report) -> None:
        told.append(report.seed)
        _tell(report, f"{len(told)}/{options.seeds}")

    began = time.monotonic()
    reports = side_by_side(options.trial, seeds, tell, print if options.show_logs else lambda _: None)
    return _sum_up(reports, options.seeds, time.monotonic() - began)


def _tell(report: Report, progress: str) -> None:
    figures = " ".join(f"{name}={count}" for name, count in report.verdict.figures.items())
    print(f"{progress}  {report.house}  seed {report.seed}  {report.seconds:.1f} s  {figures}", flush=True)
    for violation in report.verdict.violations:
        print(f"    VIOLATION, seed {report.seed}: {violation}", flush=True)


def _sum_up(reports: list[Report], seeds: int, seconds: float) -> int:
    figures: Counter[str] = Counter()
    blows: Counter[str] = Counter()
    for report in reports:
        figures += report.verdict.figures
        blows += report.blows
    guilty = [report for report in reports if report.verdict.violations]
    print(f"\n{len(reports)} of {seeds} seeds in {seconds:.0f} s")
    for name, count in (*figures.items(), *blows.items()):
        print(f"{count:8}  {name}")
    print(f"{sum(len(report.verdict.violations) for report in guilty):8}  violations")
    for report in guilty:
        print(f"seed {report.seed} went wrong. To repeat it: {report.again}")
    return 1 if guilty or len(reports) < seeds else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--trial", choices=TRIALS, default="calls", help="of what (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first (default: %(default)s)")
    parser.add_argument("--houses", nargs="+", choices=HOUSES, default=list(HOUSES), help="in what (default: all)")
    parser.add_argument("--show-logs", action="store_true", help="what the servers printed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

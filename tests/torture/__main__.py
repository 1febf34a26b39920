"""``python -m tests.torture``: many seeds, in every kind of house, with the figures at the end."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.torture.house import HOUSES
from tests.torture.trial import try_seed


def main() -> int:
    """Try the seeds; 0 if nothing was wrong."""
    options = _options()
    figures: Counter[str] = Counter()
    violations = 0
    began = time.monotonic()
    for position, name in enumerate(options.houses):
        seeds = range(options.first + position, options.first + options.seeds, len(options.houses))
        with tempfile.TemporaryDirectory(prefix="scfm-torture-") as folder, HOUSES[name](Path(folder)) as house:
            for seed in seeds:
                started = time.monotonic()
                verdict = try_seed(house, seed)
                figures += verdict.figures
                violations += len(verdict.violations)
                seconds = f"{time.monotonic() - started:.1f} s"
                print(name, seed, seconds, dict(verdict.figures), *verdict.violations, sep="  ", flush=True)
            figures += house.blows
            if options.show_logs:
                for server in house.servers:
                    print(server.output())
    print(f"{violations} violations in {time.monotonic() - began:.0f} s:", dict(figures))
    return 1 if violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first (default: %(default)s)")
    parser.add_argument("--houses", nargs="+", choices=HOUSES, default=list(HOUSES), help="in what (default: all)")
    parser.add_argument("--show-logs", action="store_true", help="what the servers printed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

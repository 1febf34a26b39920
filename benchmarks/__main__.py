"""``python -m benchmarks``: measure, print, and keep the results."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import (
    answers,
    definitions,
    draining,
    first_ring,
    followed,
    footprint,
    json_flows,
    lists,
    machine,
    observed,
    operations,
    people,
    results,
    scale_out,
    under_attack,
    under_load,
    units,
)
from benchmarks.ground import Ground
from benchmarks.measure import Plan

BENCHMARKS: dict[str, ModuleType] = {
    "operations": operations,
    "draining": draining,
    "answers": answers,
    "lists": lists,
    "people": people,
    "under_load": under_load,
    "under_attack": under_attack,
    "footprint": footprint,
    "first_ring": first_ring,
    "followed": followed,
    "scale_out": scale_out,
    "units": units,
    "definitions": definitions,
    "json_flows": json_flows,
    "observed": observed,
}
SHORT = Plan(sizes=(40, 80), repeat=1, short=True)


def main() -> None:
    options = _parser().parse_args()
    plan = SHORT if options.short else Plan(options.sizes, options.repeat)
    chosen = {name: BENCHMARKS[name] for name in options.only or BENCHMARKS}
    for name, benchmark in chosen.items():
        print(f"{name:<12} about {benchmark.seconds(plan) / 60:5.1f} min  {benchmark.ABOUT}")
    if options.estimate:
        return
    before = machine.noise()
    entries = _measure(chosen, plan)
    about = {**machine.describe(), "noise": {"before": before, "after": machine.noise()}}
    if options.results is not None or not options.short:
        folder = options.results or results.FOLDER
        print(f"\nwritten to {results.save(folder, 'bench', about, entries)}")


def _measure(chosen: dict[str, ModuleType], plan: Plan) -> list[results.Entry]:
    """Every figure, printed as it comes. One benchmark that breaks off does not take the others with it."""
    entries, failures = [], []
    with Ground() as ground:
        for name, benchmark in chosen.items():
            began = time.monotonic()
            print(f"\n{name}", flush=True)
            try:
                for figure in benchmark.measure(ground, plan):
                    noise = machine.noise()
                    print(f"  {figure}", flush=True)
                    entries.append({**results.entry(name, figure), "noise": noise})
            except Exception as error:
                if plan.short:
                    raise
                failures.append(f"{name}: {type(error).__name__}: {error}")
                print(f"  FAILED {failures[-1]}", flush=True)
            print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    for failure in failures:
        print(f"FAILED {failure}")
    return entries


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--short", action="store_true", help="a little of everything, only to see that it runs")
    add("--only", type=_names, metavar="NAME,…", help=f"some of {', '.join(BENCHMARKS)}")
    add("--sizes", type=_sizes, default=Plan.sizes, metavar="N,…", help="numbers of contacts (1000 to 1000000)")
    add("--repeat", type=int, default=Plan.repeat, help="runs of each (default: %(default)s)")
    add("--results", type=Path, metavar="FOLDER", help="where to write (default: benchmarks/results)")
    add("--estimate", action="store_true", help="only say how long it would take")
    return parser


def _names(text: str) -> Sequence[str]:
    names = text.split(",")
    if unknown := set(names) - set(BENCHMARKS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(BENCHMARKS)}")
    return names


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size.replace("_", "")) for size in text.split(",")))


if __name__ == "__main__":
    main()

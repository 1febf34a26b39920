"""``python -m tests.torture.campaigns``: many simulated campaigns, each from its seed, with a table at the end.

See ``tests.workers.campaign``. A seed that went wrong is told at once, with how to repeat it alone.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from scfm import clock
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import Unavailable
from scfm.models.registry import counted_fields, indexes
from scfm.storage.store import Store
from scfm.workers import crash_recovery
from tests.workers.campaign import Campaign
from tests.workers.campaign_checks import violations
from tests.workers.campaign_run import CampaignRun

# How many campaigns one process tries before it hands its figures over.
SLICE = 10
# What holds a coroutine up for so long is stuck.
STUCK_SECONDS = 300.0


@dataclass
class Verdict:
    """What became of a seed."""

    seed: int
    seconds: float
    violations: list[str]
    figures: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Try the seeds; 0 if nothing was wrong."""
    options = _options()
    seeds = range(options.first, options.first + options.seeds)
    slices = [seeds[begin : begin + SLICE] for begin in range(0, len(seeds), SLICE)]
    folder = Path(tempfile.mkdtemp(prefix="scfm-campaigns-"))
    began = time.monotonic()
    verdicts: list[Verdict] = []
    try:
        with (
            PrivateMongod.start(folder / "data") as mongod,
            ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool,
        ):
            for done in [pool.submit(_try_all, mongod.uri, list(part), folder) for part in slices]:
                verdicts += done.result()
                print(f"{len(verdicts)} of {len(seeds)} seeds, {time.monotonic() - began:.0f} s", flush=True)
    finally:
        shutil.rmtree(folder)
    return _sum_up(verdicts, time.monotonic() - began)


def _sum_up(verdicts: list[Verdict], seconds: float) -> int:
    figures = sum((verdict.figures for verdict in verdicts), Counter[str]())
    guilty = [verdict for verdict in verdicts if verdict.violations]
    print(f"\n{len(verdicts)} campaigns in {seconds:.0f} s")
    for name, count in sorted(figures.items()):
        print(f"{count:8}  {name}")
    print(f"{sum(len(verdict.violations) for verdict in guilty):8}  violations")
    for verdict in guilty:
        print(f"seed {verdict.seed} went wrong. To repeat it: {again(verdict.seed)}")
    return 1 if guilty else 0


def again(seed: int) -> str:
    """How to repeat the campaign of a seed."""
    return f"python -m tests.torture.campaigns --first {seed} --seeds 1"


def _try_all(uri: str, seeds: list[int], folder: Path) -> list[Verdict]:
    logging.disable(logging.CRITICAL)
    crash_recovery.LAST_WORDS_SECONDS = 0.0  # these processes die with nothing under way
    return [asyncio.run(_try(uri, seed, folder)) for seed in seeds]


async def _try(uri: str, seed: int, folder: Path) -> Verdict:
    began, machine = time.monotonic(), clock.datetime
    store = await _open(uri, f"campaigns{os.getpid()}")
    data_dir = folder / f"seed{seed}"
    figures: Counter[str] = Counter()
    found: list[str] = []
    try:
        async with asyncio.timeout(STUCK_SECONDS):
            run = await CampaignRun.open(store, data_dir, Campaign.of(seed))
            vars(clock)["datetime"] = run.clock
            await run.run()
            found = await violations(run)
            figures = await run.figures()
    except Exception:
        found = [traceback.format_exc()]
    finally:
        vars(clock)["datetime"] = machine
        await store.close()
        shutil.rmtree(data_dir, ignore_errors=True)
    for one in found:
        print(f"VIOLATION, seed {seed}: {one}\n    to repeat it: {again(seed)}", flush=True)
    return Verdict(seed, time.monotonic() - began, found, figures)


async def _open(uri: str, database: str) -> Store:
    """An empty store; a machine that has other things to do may take its time."""
    with MongoClient[dict[str, Any]](uri) as client:
        for name in client[database].list_collection_names():
            client[database][name].delete_many({})
    store = Store.open(uri, database, counted_fields())
    async with asyncio.timeout(STUCK_SECONDS):
        while True:
            with suppress(Unavailable):
                await store.database.prepare(indexes())
                return store


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.campaigns", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first (default: %(default)s)")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="so many at a time (default: %(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""``scfm simulator``: run a carrier that speaks Twilio's API, for trials."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import TypeVar

from scfm.runtime import event_loop, garbage_collector, open_files
from scfm.simulator.carrier import QUICK, SEED
from scfm.simulator.faults import Faults
from scfm.simulator.journal import Journal
from scfm.simulator.scenario import Scenario, read_rules, read_scenario
from scfm.simulator.simulator import Simulator

Option = TypeVar("Option", int, float)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm simulator``."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=4010, help="port to listen on; 0 picks a free one (default: %(default)s)")
    add("--account-sid", help="serve only this account (default: any)")
    add("--auth-token", help="take only this token (default: any), and sign with it")
    add("--seed", type=int, help=f"who answers, and what goes wrong (default: {SEED})")
    add(
        "--life-size",
        type=float,
        metavar="FACTOR",
        help=f"real seconds per second of a call; 1 is life itself (default: {QUICK})",
    )
    add("--faults", metavar="PLAN", help="what goes wrong, such as drop_after=0.02,throttle=0.05")
    add("--callees", type=Path, metavar="FILE", help="JSON: who answers, and what they press and say")
    add(
        "--scenario",
        type=Path,
        metavar="FILE",
        help="JSON: who answers at which attempt, seed, life size and faults; other options win over it",
    )
    add(
        "--ledger",
        type=Path,
        metavar="FILE",
        help="append every request, callback and outcome, as JSON lines",
    )
    add("--state", type=Path, metavar="FILE", help="keep the calls in this file, and know them after a restart")


def simulator_of(options: argparse.Namespace) -> Simulator:
    """The simulator of these options; what they leave open is the scenario's, or the default. Raises StartError."""
    scenario = read_scenario(options.scenario) if options.scenario else Scenario()
    return Simulator(
        account_sid=options.account_sid,
        auth_token=options.auth_token,
        seed=_first(options.seed, scenario.seed, SEED),
        life_size=_first(options.life_size, scenario.life_size, QUICK),
        faults=scenario.faults if options.faults is None else Faults.parse(options.faults),
        callees=(*(read_rules(options.callees) if options.callees else ()), *scenario.people),
        ledger=options.ledger,
        journal=Journal.open(options.state) if options.state else None,
    )


def run(options: argparse.Namespace) -> int:
    """Run a simulator until SIGTERM or SIGINT; 0. Raises StartError."""
    simulator = simulator_of(options)
    open_files.raise_limit()
    event_loop.run(serve_simulator(simulator, options.host, options.port))
    return 0


def _first(*values: Option | None) -> Option:
    """The first that is given."""
    return next(value for value in values if value is not None)


async def serve_simulator(simulator: Simulator, host: str, port: int) -> None:
    """Start, say where, wait for SIGTERM or SIGINT, stop. Raises StartError."""
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    url = await simulator.start(port, host)
    garbage_collector.freeze_gc()
    simulator.carrier.resume()
    print(f"simulator listening on {url}", flush=True)
    try:
        await told_to_stop.wait()
    finally:
        await simulator.stop()

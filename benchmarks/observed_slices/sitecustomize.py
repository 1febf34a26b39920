"""For ``benchmarks.observed``: on PYTHONPATH of a server that logs and counts in every other slice of its requests.

A slice is as many requests as the variable OBSERVED_SLICE says; the first is with log and metrics. At the end of each
the server appends a line to the file OBSERVED_FILE: the seconds of the processor that it has used.
"""

from __future__ import annotations

import logging
import os
import time
from itertools import count
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from scfm.handlers.request_log import RequestLog
from scfm.runtime.metrics import LoopHistogram

SLICE, FILE = int(os.environ["OBSERVED_SLICE"]), os.environ["OBSERVED_FILE"]
COUNTING = [
    (kind, verb, getattr(kind, verb))
    for kind, verb in (
        (Counter, "inc"),
        (Gauge, "inc"),
        (Gauge, "dec"),
        (Gauge, "set"),
        (Histogram, "observe"),
        (LoopHistogram, "observe"),
    )
]
add = RequestLog.add
answered = count(1)


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _counted(log: RequestLog, handler: Any) -> None:
    """In place of RequestLog.add."""
    number = next(answered)
    if (number - 1) // SLICE % 2 == 0:
        add(log, handler)
    if number % SLICE == 0:
        log.tell()
        for sink in logging.root.handlers:
            sink.flush()  # or the next slice would pay for the last lines
        _observe(number // SLICE % 2 == 0)
        with open(FILE, "a") as file:
            file.write(f"{time.process_time()}\n")


def _observe(observed: bool) -> None:
    """Log and count from here on, or do not."""
    logging.root.setLevel(logging.INFO if observed else logging.WARNING)
    for kind, verb, original in COUNTING:
        setattr(kind, verb, original if observed else _nothing)


RequestLog.add = _counted  # type: ignore[method-assign]

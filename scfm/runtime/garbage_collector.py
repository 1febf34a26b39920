"""Python's garbage collector, in a process that goes on for long."""

from __future__ import annotations

import gc


def freeze_gc() -> None:
    """Keep the collector from stopping the event loop. To be called once, when everything is there and runs.

    What there is by now stays: walking the classes of the libraries takes 40 ms each time. And few of the things that
    come after form circles, so it need not look after every 700 of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)

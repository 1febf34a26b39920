"""Python's garbage collector, tuned for a process that runs for long."""

from __future__ import annotations

import gc


def freeze_gc() -> None:
    """Keep collections from blocking the event loop. To be called once, when all parts have been started.

    What is allocated by now is never collected: to traverse the classes of the libraries takes 40 ms each time. Few
    later objects are in reference cycles, so a collection after every 700 of them (Python's default) is not needed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)

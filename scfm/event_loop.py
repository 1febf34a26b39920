"""The event loop that servers and the simulator run on: uvloop, which does what asyncio's own does in less time."""

import sys

if sys.platform == "win32":  # there is no uvloop for it
    from asyncio import run
else:
    from uvloop import run

__all__ = ["run"]

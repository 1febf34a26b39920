"""The event loop that servers and the simulator run on: uvloop's, where there is one.

It does what asyncio's own does in less time.
"""

try:
    from uvloop import run
except ImportError:  # there is none for Windows, nor for other Pythons
    from asyncio import run  # type: ignore[assignment]

__all__ = ["run"]

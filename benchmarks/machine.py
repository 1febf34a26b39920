"""The machine, its noise, and what the kernel tells of a process."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import percentile
from scfm import __version__

TICKS = os.sysconf("SC_CLK_TCK")
PARTS = ("tornado", "motor", "pymongo", "twilio", "aiohttp", "orjson")


def describe() -> dict[str, Any]:
    """What stands beside every result, so that it can be judged later."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {"scfm": __version__, **{name: version(name) for name in PARTS}},
    }


def noise(loops: int = 20) -> dict[str, Any]:
    """How evenly the machine runs: a loop that is always the same, in milliseconds, and what else it is doing."""
    times = []
    for _ in range(loops):
        began = time.perf_counter()
        sum(number * number for number in range(100_000))
        times.append((time.perf_counter() - began) * 1000)
    return {
        "loop_ms": {"min": min(times), "p50": percentile(times, 50), "max": max(times)},
        "loadavg": os.getloadavg(),
    }


def cpu_seconds(pid: int) -> float:
    """The time that a process has computed, in all its threads (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int, peak: bool = False) -> float:
    """What a process has resident, or the most that it has had, in MB (of a million bytes)."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1.024e-3 for line in lines if line.startswith(wanted))


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()

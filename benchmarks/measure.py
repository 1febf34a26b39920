"""What the benchmarks share: numbers out of a list of times."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of VALUES that at least so many percent of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def table(rows: dict[str, Sequence[float]]) -> str:
    """Each row's count, percentiles and maximum; the values are seconds, shown as milliseconds."""
    lines = [f"{'':<12}{'count':>7}" + "".join(f"{name:>10}" for name in ("p50 ms", "p95 ms", "p99 ms", "max ms"))]
    for name, values in rows.items():
        shown = [percentile(values, percent) * 1000 for percent in (50, 95, 99, 100)] if values else []
        lines.append(f"{name:<12}{len(values):>7}" + "".join(f"{value:>10.1f}" for value in shown))
    return "\n".join(lines)

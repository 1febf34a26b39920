"""Figures: what was measured, beside the limit that it is measured against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

median = statistics.median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of VALUES that at least so many percent of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max of times in seconds, as milliseconds."""
    named = (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100))
    return {name: round(percentile(seconds, percent) * 1000, 3) for name, percent in named}


@dataclass(frozen=True)
class Figure:
    """One thing measured.

    ``runs`` are the values in ``unit``, one a run; ``limit_runs`` those of ``limit``, measured in turn with them.
    ``goal`` (``≥ 0.75``) is for the ratio of the two, or, without a limit, for the value.
    """

    name: str
    unit: str
    runs: tuple[float, ...]
    size: int | None = None
    limit: str = ""
    limit_runs: tuple[float, ...] = ()
    goal: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return median(self.runs)

    @property
    def ratios(self) -> list[float]:
        """Run by run, to the limit measured beside it; the machine's mood is then in both."""
        if len(self.runs) == len(self.limit_runs):
            return [run / limit for run, limit in zip(self.runs, self.limit_runs, strict=True)]
        return [run / median(self.limit_runs) for run in self.runs] if self.limit_runs else []

    @property
    def ratio(self) -> float | None:
        return median(self.ratios) if self.ratios else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if not self.goal:
            return None
        sign, wanted = self.goal.split()
        judged = self.value if self.ratio is None else self.ratio
        return judged >= float(wanted) if sign == "≥" else judged <= float(wanted)

    def as_json(self) -> dict[str, Any]:
        """Everything, with what follows from it, for a file."""
        follows = {"value": self.value, "ratio": self.ratio, "ratios": self.ratios, "met": self.met}
        return {**asdict(self), **follows}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Figure:
        """The figure that ``as_json`` was told of."""
        known = {name: entry[name] for name in cls.__dataclass_fields__}
        return cls(**{**known, "runs": tuple(known["runs"]), "limit_runs": tuple(known["limit_runs"])})

    def __str__(self) -> str:
        size = f" of {self.size:,}" if self.size else ""
        text = f"{self.name}{size}: {self.value:,.4g} {self.unit} ({spread(self.runs)})"
        if self.limit_runs:
            text += f"; {self.limit}: {median(self.limit_runs):,.4g}; ratio {self.ratio:.2f} ({spread(self.ratios)})"
        return text + (f"; goal {self.goal}: {'met' if self.met else 'MISSED'}" if self.goal else "")


def spread(values: Sequence[float]) -> str:
    """The least and the most, and of how many."""
    return f"{min(values):,.4g} to {max(values):,.4g}, n={len(values)}"


@dataclass(frozen=True)
class Plan:
    """How much to measure. ``short`` only shows that everything runs."""

    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    repeat: int = 5
    short: bool = False

    def of(self, full: int, short: int) -> int:
        """How many of something there are, in earnest or in the short form."""
        return short if self.short else full

"""The alert rules of ``deploy/prometheus/rules.yml`` for a day that goes by faster.

A time of T seconds in a rule (``for``, a range, an offset, an age) becomes T / FACTOR + MENDING_SECONDS: what is
killed starts no faster than in life, so a rule must wait for that beside what it waits for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "rules.yml"
# A process and a mongod that were killed are back within these, on a machine that has other things to do, too.
MENDING_SECONDS = 15.0
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(?<=\[)(\d+[smhd])(?=\])|(?<=offset )(\d+[smhd])")
# An age in seconds that is compared with a number; one that is compared with a metric goes by the clock already.
AGE = re.compile(r"((?:time\(\) - [^>]*|_age_seconds\{[^}]*\}\)) > )(\d+)(?! \*|\d)")
DISK = "free_bytes < 2e9"


@dataclass(frozen=True)
class DayRules:
    """FACTOR: simulated seconds a second. ``disk_low_bytes`` takes the place of the 2 GB of ScfmDiskLow."""

    factor: float
    disk_low_bytes: float

    def seconds(self, life: float) -> float:
        """How many real seconds so many of a rule become."""
        return life / self.factor + MENDING_SECONDS

    def expression(self, text: str) -> str:
        """An expression with its times scaled."""
        text = DURATION.sub(lambda found: self._duration(found[0]), text)
        text = AGE.sub(lambda found: f"{found[1]}{self.seconds(float(found[2])):g}", text)
        return text.replace(DISK, f"free_bytes < {self.disk_low_bytes:g}")

    def rules(self) -> dict[str, Any]:
        """The whole file, as Prometheus reads it."""
        written: dict[str, Any] = yaml.safe_load(RULES.read_text())
        for group in written["groups"]:
            for rule in group["rules"]:
                rule["expr"] = self.expression(rule["expr"])
                if "for" in rule:
                    rule["for"] = self._duration(rule["for"])
        return written

    def _duration(self, written: str) -> str:
        return f"{round(1000 * self.seconds(int(written[:-1]) * UNITS[written[-1]]))}ms"


def names() -> list[str]:
    """Every alert that there is a rule for."""
    return [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]

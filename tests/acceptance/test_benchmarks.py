"""The benchmarks run; their figures are for ``make bench`` on a machine that does nothing else."""

from __future__ import annotations

import re
import subprocess
import sys


def test_the_webhook_is_measured_idle_and_while_calls_are_placed() -> None:
    command = [sys.executable, "-m", "benchmarks.webhook_latency", "--short"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 0, ended.stderr
    rows = re.findall(r"^(\w+) +(\d+)(?: +(\d+\.\d)){4}$", ended.stdout, re.MULTILINE)
    assert [name for name, *_ in rows] == ["idle", "draining"]
    assert all(int(count) > 0 and float(most) > 0 for _, count, most in rows)
    assert "300 of 300 calls placed" in ended.stdout

"""Marks parameters of tests that are left to ``make test-slow``; a test as a whole is marked ``pytest.mark.slow``."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """A set of parameters, of which ``make test`` has others."""
    return pytest.param(*values, marks=pytest.mark.slow)

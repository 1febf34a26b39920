"""What holds for all tests of the jobs."""

from __future__ import annotations

import pytest

from scfm import clock
from scfm.workers import crash_recovery
from tests.workers.owned_clock import Wall


@pytest.fixture(autouse=True)
def no_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """These processes die with nothing under way, so that nobody need wait for it."""
    monkeypatch.setattr(crash_recovery, "LAST_WORDS_SECONDS", 0.0)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    """The wall clock, to be set by the test."""
    wall = Wall()
    monkeypatch.setattr(clock, "datetime", wall)
    return wall

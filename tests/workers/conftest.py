"""What holds for all tests of the jobs."""

from __future__ import annotations

import pytest

from scfm.workers import settle_calls


@pytest.fixture(autouse=True)
def no_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """These processes die with nothing under way, so that nobody need wait for it."""
    monkeypatch.setattr(settle_calls, "LAST_WORDS_SECONDS", 0.0)

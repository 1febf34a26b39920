"""What holds for all tests of the jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from scfm import clock
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers import crash_recovery
from tests.workers.background import settings_for
from tests.workers.owned_clock import Wall
from tests.workers.planned import Planned


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


@pytest.fixture
def planned_settings(tmp_path: Path, wall: Wall) -> Settings:
    """Those of a process without a limit, whose wall clock the test sets."""
    return settings_for("http://127.0.0.1:9", tmp_path, calls_per_second=0)


@pytest.fixture
def planned(store: Store, planned_settings: Settings, io_loop: IOLoop) -> Iterator[Planned]:
    """A process that carries plans out for an account of its own."""
    planned = io_loop.run_sync(lambda: Planned.open(store, planned_settings))
    yield planned
    io_loop.run_sync(planned.close)

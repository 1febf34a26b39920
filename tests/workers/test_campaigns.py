"""Simulated campaigns: whatever is planned, and whatever happens meanwhile, plans are kept, and nobody is forgotten.

``make campaigns`` tries 2,000 seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scfm import clock
from scfm.storage.store import Store
from tests.torture.campaigns import again
from tests.workers.campaign import Campaign
from tests.workers.campaign_checks import violations
from tests.workers.campaign_run import CampaignRun

SEEDS = 24


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
async def test_a_campaign_keeps_to_its_plan(
    seed: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await CampaignRun.open(store, tmp_path, Campaign.of(seed))
    monkeypatch.setattr(clock, "datetime", run.clock)
    await run.run()
    assert await violations(run) == [], again(seed)

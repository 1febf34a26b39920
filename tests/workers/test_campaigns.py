"""Simulated campaigns: whatever is planned, and whatever happens meanwhile, plans are kept, and nobody is forgotten.

``make campaigns`` tries 2,000 seeds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scfm import clock
from scfm.models.plan import with_defaults
from scfm.storage.store import Store
from tests.torture.campaigns import again
from tests.workers.campaign import Campaign, History
from tests.workers.campaign_carrier import CALL_SECONDS, Left
from tests.workers.campaign_checks import is_inside, violations, violations_of_calls
from tests.workers.campaign_run import CampaignRun

SEEDS = 10
NOON = datetime(2030, 3, 31, 12, tzinfo=UTC)
ANNA = "+85510000001"


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
async def test_a_campaign_keeps_to_its_plan(
    seed: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await CampaignRun.open(store, tmp_path, Campaign.of(seed))
    monkeypatch.setattr(clock, "datetime", run.clock)
    await run.run()
    assert await violations(run) == [], again(seed)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        # In Berlin clocks go from 02:00 to 03:00 at 01:00 UTC on 31 March 2030, and back on 27 October.
        ("2030-03-31T00:59Z", False),
        ("2030-03-31T01:00Z", False),
        ("2030-03-30T01:30Z", True),
        ("2030-10-27T00:30Z", True),
        ("2030-10-27T01:30Z", True),
        ("2030-10-27T01:45Z", False),
        ("2030-10-27T01:14Z", False),
    ],
)
def test_the_window_is_checked_by_what_clocks_show(moment: str, inside: bool) -> None:
    window = {"time_zone": "Europe/Berlin", "days": ["sat", "sun"], "from": "02:15", "to": "02:45", "except": []}
    assert is_inside(window, datetime.fromisoformat(moment)) is inside


def left(after: float, *, by_hand: bool = False) -> Left:
    """A call to Anna that left so many seconds after noon."""
    return Left(NOON + timedelta(seconds=after), after, 0, ANNA, by_hand, True, after + CALL_SECONDS, "CA1")


NIGHT = {"time_zone": "UTC", "from": "20:00", "to": "04:00"}


@pytest.mark.parametrize(
    ("calls", "plan", "history", "found"),
    [
        ([left(5), left(60)], {}, {}, []),
        ([left(5), left(60), left(90)], {}, {}, ["one attempt too many"]),
        ([left(5), left(60, by_hand=True), left(90)], {}, {}, ["one attempt too many"]),
        ([left(5), left(10)], {}, {}, ["while another call is open"]),
        ([left(5)], {"window": NIGHT}, {}, ["outside the window"]),
        ([left(5)], {"window": NIGHT, "emergency": {"reason": "flood", "severity": "severe"}}, {}, []),
        ([left(5)], {"starts_at": "2030-03-31T12:00:06Z"}, {}, ["before starts_at"]),
        ([left(5)], {"not_after": "2030-03-31T12:00:04Z"}, {}, ["after not_after"]),
        ([left(5)], {}, {"acknowledged": {ANNA: 4.0}}, ["after an acknowledgement"]),
        ([left(5)], {}, {"opted_out": {ANNA: 4.0}}, ["after an opt-out"]),
        ([left(5)], {}, {"statuses": [(0.0, "running"), (4.0, "stopped")]}, ["while the callout is {'stopped'}"]),
        ([left(5)], {}, {"statuses": [(0.0, "running"), (5.0, "stopped")]}, []),
    ],
)
def test_the_checks_find_what_is_wrong(
    calls: list[Left], plan: dict[str, object], history: dict[str, object], found: list[str]
) -> None:
    given = with_defaults({"audience": {}, "retry": {"max_attempts": 2}, **plan})
    told = History(**{"statuses": [(0.0, "running")], "plans": [(0.0, given)], **history})
    assert [one.partition(":")[0] for one in violations_of_calls(calls, told)] == found

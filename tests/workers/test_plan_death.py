"""A process that carries out a plan is ended between any two of its steps; another goes on.

Whatever the step: everybody is called as often as the plan says, one call at a time, and the callout ends.
"""

from __future__ import annotations

from pathlib import Path

from scfm.clock import now
from scfm.models.callout_run import take_over_run
from scfm.storage.store import Store
from tests.workers.background import account, settings_for
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.owned_clock import Wall
from tests.workers.planned import Planned, ScriptedProvider

DYING = "dying"
NOWHERE = "http://127.0.0.1:9"
MAX_STEPS = 3000
PEOPLE = ("+85510000001", "+85510000002", "+85510000003")
SCRIPT = {PEOPLE[0]: ["busy", "answered"], PEOPLE[1]: ["answered"], PEOPLE[2]: ["busy"]}
# There are several hundred steps, and to die at each takes minutes: the process dies at each thirteenth.
EVERY = 13


async def test_a_process_that_carries_out_a_plan_may_die_at_any_step(
    store: Store, tmp_path: Path, wall: Wall
) -> None:
    settings = settings_for(NOWHERE, tmp_path, calls_per_second=0, lease_seconds=20.0)
    for step in range(1, MAX_STEPS, EVERY):
        provider = ScriptedProvider(SCRIPT)
        own = Planned(store, settings, await account(store), provider, store)
        await own.contacts(*PEOPLE)
        callout = await own.callout("start", retry={"max_attempts": 2, "delays": [60]})
        life = Life(step)
        assert own.view.account_id is not None
        account_id = own.view.account_id
        dying = Planned(store, settings, account_id, provider, MortalStore.within(store, life), DYING)
        await live(own.finish(callout, dying), life)
        await dying.close()
        await own.view.update_many("callouts", *take_over_run(DYING, now()))
        await own.finish(callout)
        assert await own.outcomes(callout) == dict(
            zip(PEOPLE, ("reached", "reached", "unreached, busy"), strict=True)
        ), step
        assert [len(provider.attempts_of(person)) for person in PEOPLE] == [2, 1, 2], step
        await own.close()
        await store.all_tenants.remove("callouts", {})
        if not life.over:
            return
    raise AssertionError("it takes more steps")

"""A process that carries out a plan is ended between any two of its writes; another goes on.

Whatever the write: everybody is called as often as the plan says, one call at a time, and the callout ends. ``make
deaths`` tries every write.
"""

from __future__ import annotations

import os
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
MAX_WRITES = 1000
PEOPLE = ("+85510000001", "+85510000002", "+85510000003")
SCRIPT = {PEOPLE[0]: ["busy", "answered"], PEOPLE[1]: ["answered"], PEOPLE[2]: ["busy"]}
# To die before each of more than a hundred writes takes minutes: the process dies before only some of them.
EVERY = int(os.environ.get("DEATHS_EVERY", "53"))


async def test_a_process_that_carries_out_a_plan_may_die_before_any_write(
    store: Store, tmp_path: Path, wall: Wall
) -> None:
    settings = settings_for(NOWHERE, tmp_path, calls_per_second=0, lease_seconds=20.0)
    for write in range(1, MAX_WRITES, EVERY):
        provider = ScriptedProvider(SCRIPT)
        own = Planned(store, settings, await account(store), provider, store)
        await own.contacts(*PEOPLE)
        callout = await own.callout("start", retry={"max_attempts": 2, "delays": [60]})
        life = Life(write, of_writes=True)
        assert own.view.account_id is not None
        account_id = own.view.account_id
        dying = Planned(store, settings, account_id, provider, MortalStore.within(store, life), DYING)
        await live(own.finish(callout, dying), life)
        await dying.close()
        await own.view.update_many("callouts", *take_over_run(DYING, now()))
        await own.finish(callout)
        assert await own.outcomes(callout) == dict(
            zip(PEOPLE, ("reached", "reached", "unreached, busy"), strict=True)
        ), write
        assert [len(provider.attempts_of(person)) for person in PEOPLE] == [2, 1, 2], write
        await own.close()
        await store.all_tenants.remove("callouts", {})
        if not life.over:
            assert write > 100
            return
    raise AssertionError("it takes more writes")

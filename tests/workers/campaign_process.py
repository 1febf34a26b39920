"""One process of a simulated campaign: all the jobs that calls and plans need, and how long it lives."""

from __future__ import annotations

from scfm.calls.account_flows import AccountFlows
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.plan_attempts import PlanAttempts
from scfm.workers.plan_runner import PlanRunner
from scfm.workers.settle_opt_outs import SettleOptOuts
from tests.workers.background import Background, pass_over, send_due
from tests.workers.campaign_carrier import CampaignCarrier, Line
from tests.workers.mortal import Life, MortalSendJournal, MortalStore, live

NOWHERE = "http://127.0.0.1:9"
MAX_ROUNDS = 1000


class Process:
    """Works until nothing is due, as often as it is told to, unless it dies: at step DIES_AT, None for never."""

    def __init__(self, store: Store, settings: Settings, carrier: CampaignCarrier, dies_at: int | None) -> None:
        self.life = Life(dies_at)
        self._mortal = dies_at is not None
        own = MortalStore.within(store, self.life) if self._mortal else store
        # It is ended when the process dies, not whenever it has nothing to do.
        self._stores, self.life.stores = self.life.stores, []
        self.jobs = Background(
            own,
            settings,
            Line(carrier, self.life),
            MortalSendJournal.within(settings.data_dir, self.life),
            carrier.clock,
            ClockWatch(carrier.clock.monotonic),
        )
        flows = AccountFlows(own, Registry.from_setting("", ""), FlowSettings.of(settings))
        attempts = PlanAttempts(self.jobs.accounts, flows, lambda: NOWHERE)
        journal_id = self.jobs.send_journal.id
        self._plan_runner = PlanRunner(own, attempts, self.jobs.accounts, settings, lambda: None, journal_id)
        self._settle_opt_outs = SettleOptOuts(own)

    async def work(self) -> None:
        """Do what is due, until there is nothing, or the process dies."""
        if not self._mortal:
            await self._work()
            return
        await live(self._work(), self.life)
        if self.life.over:
            for store in self._stores:
                await store.end()

    async def _work(self) -> None:
        jobs = self.jobs
        # So much time has gone by that what was looked at is looked at again.
        for cache in (jobs.callout_hold._callouts, jobs.callout_hold.opt_outs._has_some):
            cache.forget()
        for _ in range(MAX_ROUNDS):
            jobs.outcome_keeper._next_at = 0.0  # it need not gather
            done = [
                await pass_over(job)
                for job in (
                    jobs.clock_repair,
                    jobs.reconciler,
                    self._plan_runner,
                    self._settle_opt_outs,
                )
            ]
            done += [await send_due(jobs), await pass_over(jobs.status_poller), await pass_over(jobs.outcome_keeper)]
            if not any(done):
                return
        raise AssertionError("there is no end to it")

    async def close(self) -> None:
        await self.jobs.close()

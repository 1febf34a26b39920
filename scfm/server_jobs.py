"""The jobs of a server, wired to what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from scfm.calls.account_flows import AccountFlows
from scfm.endpoint_client.client import EndpointClient
from scfm.handlers.request_tracker import RequestTracker
from scfm.models.opt_out_digest import OptOutDigests
from scfm.models.registry import sealed_paths
from scfm.privacy.erasure import Eraser
from scfm.privacy.retention import PURGED_KINDS, Retention
from scfm.providers.client import Provider
from scfm.results.provider_state import ProviderState
from scfm.runtime.outage import DatabaseOutage
from scfm.runtime.secret_box import SecretBox
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.audio_recorder import AudioRecorder
from scfm.workers.batch_runner import BatchRunner
from scfm.workers.bring_back_opt_outs import BringBackOptOuts
from scfm.workers.call_withdrawal import CallWithdrawal
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_ends import CalloutEnds
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.callout_tenths import CalloutTenths
from scfm.workers.clock_repair import ClockRepair
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.delete_recordings import DeleteRecordings
from scfm.workers.deliver_webhooks import DeliverWebhooks
from scfm.workers.dispatcher import Dispatcher, ServerHooks
from scfm.workers.erase_contacts import EraseContacts
from scfm.workers.forget_old import ForgetOld
from scfm.workers.hang_ups import HangUps
from scfm.workers.hang_ups_of_many import HangUpsOfMany
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.outcome_repair import OutcomeRepair
from scfm.workers.plan_attempts import PlanAttempts
from scfm.workers.plan_runner import PlanRunner
from scfm.workers.purge_old import PurgeOld
from scfm.workers.reconciler import Reconciler
from scfm.workers.renumber_contacts import RenumberContacts
from scfm.workers.runner import Runner
from scfm.workers.scheduled_backup import ScheduledBackup
from scfm.workers.seal_secrets import SealSecrets
from scfm.workers.send_journal import SendJournal
from scfm.workers.settle_opt_outs import SettleOptOuts
from scfm.workers.silent_calls import SilentCalls
from scfm.workers.status_fetcher import StatusFetcher
from scfm.workers.status_poller import StatusPoller
from scfm.workers.sweep_audio import SweepAudio
from scfm.workers.sweep_deletions import SweepDeletions
from scfm.workers.tell_endpoints import TellEndpoints


@dataclass(frozen=True)
class Jobs:
    """What the jobs of a server share. ``own_url`` gives where providers reach it."""

    settings: Settings
    store: Store
    provider: Provider
    calling_accounts: CallingAccounts
    callout_hold: CalloutHold
    send_journal: SendJournal
    withdrawal: CallWithdrawal
    request_tracker: RequestTracker
    flows: AccountFlows
    secret_box: SecretBox
    own_url: Callable[[], str]
    digests: OptOutDigests
    endpoint_client: EndpointClient

    def runner(self, outage: DatabaseOutage) -> tuple[Runner, Callable[[int], ProviderState]]:
        """The runner of all jobs, not started yet, and what they know of the provider of an account, by its id."""
        settings, store, accounts, journal = self.settings, self.store, self.calling_accounts, self.send_journal
        slots, lease = settings.calls_in_flight, settings.lease_seconds
        provider, hold, tracker = self.provider, self.callout_hold, self.request_tracker
        runner = Runner(settings.sweep_seconds, outage)
        ends, watch = CalloutEnds(store), ClockWatch()
        wake_senders = partial(runner.wake, Dispatcher.name, StatusFetcher.name)
        attempts = PlanAttempts(accounts, self.flows, self.own_url)
        runner.add(PlanRunner(store, attempts, accounts, settings, wake_senders, journal.id))
        runner.add(BatchRunner(store, lease, wake_senders, journal.id, lambda: tracker.webhooks_recent))
        server = ServerHooks(self.own_url, tracker.yield_to_webhooks, ends.sent)
        dispatcher = Dispatcher(store, provider, accounts, journal, hold, settings, server)
        runner.add(dispatcher)
        runner.add(StatusFetcher(store, provider, accounts, slots=slots, lease=lease))
        runner.add(ClockRepair(store, watch, settings, runner.wake))
        runner.add(Reconciler(store, provider, accounts, journal, hold, settings, watch))
        runner.add(StatusPoller(store, provider, accounts, lease=lease, seconds=settings.status_check_seconds))
        runner.add(SilentCalls(store, settings))
        runner.add(HangUps(store, provider, accounts, self.withdrawal, lease=lease))
        runner.add(HangUpsOfMany(store, partial(runner.wake, HangUps.name)))
        for of_store in (SweepDeletions, SweepAudio, RenumberContacts, SettleOptOuts):
            runner.add(of_store(store))
        runner.add(EraseContacts(store, Eraser(store, self.digests, settings.data_dir)))
        runner.add(BringBackOptOuts(store, self.digests))
        runner.add(DeleteRecordings(store, provider, accounts))
        days = {kind: getattr(settings, f"retention_{kind}_days") for kind in PURGED_KINDS}
        runner.add(PurgeOld(Retention(store), days))
        runner.add(SealSecrets(store, sealed_paths(), self.secret_box))
        runner.add(ForgetOld(store, settings.audit_retention_days, settings.webhook_retention_days))
        runner.add(AudioRecorder(store, provider, accounts, settings.data_dir, self.flows.forget))
        runner.add(ends)
        runner.add(CalloutTenths(store, journal.id))
        if settings.backup_every:
            runner.add(ScheduledBackup(store, settings))
        runner.add(OutcomeKeeper(store))
        runner.add(TellEndpoints(store, partial(runner.wake, DeliverWebhooks.name)))
        runner.add(DeliverWebhooks(store, self.endpoint_client, self.secret_box, tracker.yield_to_requests))
        runner.add(OutcomeRepair(store))
        return runner, dispatcher.breakers.state

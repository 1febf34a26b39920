"""The composition root: opens the parts of a server, wires them, and closes them in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

from scfm.calls.preflight import Preflight
from scfm.calls.webhook_accounts import WebhookAccounts
from scfm.contacts_bulk.bulk_import import import_slots
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.embedded_mongod.watch import keep_running
from scfm.errors import StartError, Unavailable
from scfm.handlers.application import Collaborators, WebApplication
from scfm.handlers.authentication import Authenticator
from scfm.handlers.base import MissingHandler
from scfm.handlers.body_budget import BodyBudget
from scfm.handlers.connections import Connections, finish_requests
from scfm.handlers.download import download_slots
from scfm.handlers.large_answers import LargeAnswers
from scfm.handlers.listener import loopback_url, open_listener, url_of
from scfm.handlers.request_tracker import RequestTracker
from scfm.handlers.routes import routes
from scfm.handlers.webhook_rejection_log import WebhookRejectionLog
from scfm.models import account_setup
from scfm.models.fields import Rules
from scfm.models.platform import Platform
from scfm.models.registry import OBSOLETE_INDEXES, counted_fields, indexes
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.results.progress_feeds import ProgressFeeds
from scfm.results.provider_state import ProviderState
from scfm.results.statistics_reader import StatisticsReader
from scfm.runtime import open_files
from scfm.runtime.outage import DatabaseOutage
from scfm.settings import Settings
from scfm.simulator.journal import Journal
from scfm.simulator.simulator import Simulator
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from scfm.workers.batch_runner import BatchRunner
from scfm.workers.call_withdrawal import CallWithdrawal
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_ends import CalloutEnds
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.callout_tenths import CalloutTenths
from scfm.workers.clock_repair import ClockRepair
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.dispatcher import Dispatcher
from scfm.workers.forget_old import ForgetOld
from scfm.workers.hang_ups import HangUps
from scfm.workers.hang_ups_of_many import HangUpsOfMany
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.outcome_repair import OutcomeRepair
from scfm.workers.plan_attempts import PlanAttempts
from scfm.workers.plan_runner import PlanRunner
from scfm.workers.reconciler import Reconciler
from scfm.workers.renumber_contacts import RenumberContacts
from scfm.workers.runner import Runner
from scfm.workers.send_journal import SendJournal
from scfm.workers.settle_opt_outs import SettleOptOuts
from scfm.workers.status_fetcher import StatusFetcher
from scfm.workers.status_poller import StatusPoller
from scfm.workers.sweep_deletions import SweepDeletions

log = logging.getLogger("scfm")

# A server that is told to stop has ended within ten seconds, without its private mongod. These are the parts of them,
# in the order of ``Server.close``: what clients have to finish their requests, the jobs what they are doing, and the
# store its last changes.
MAX_REQUESTS_SECONDS = 2.0
MAX_JOBS_SECONDS = 5.0
MAX_QUIESCE_SECONDS = 1.0


class Server:
    """A server: ``open`` it, and it runs until ``close``.

    ``port`` is the one it listens on, ``token`` the access token that an empty database was given just now, and
    ``super_admin_id`` the account that may manage accounts.
    """

    def __init__(self, settings: Settings, mongod: PrivateMongod | None, mongodb_uri: str) -> None:
        """``mongod`` is the embedded one, to be started again when it ends; None for a database run by others."""
        self.settings = settings
        self.port = 0
        self.token: str | None = None
        self.super_admin_id = 1
        self._mongod = mongod
        self._mongodb_uri = mongodb_uri
        self._simulator: Simulator | None = None
        self._closing = AsyncExitStack()

    async def open(self) -> None:
        """Open everything, in the order in which one part needs another. Raises StartError."""
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Take nothing more, finish or hand back what is under way, and close every part, in this order.

        1. The simulator is told that the application stops: callbacks that get no answer are no errors any more.
        2. Streams of progress end. No more connections are accepted; requests have MAX_REQUESTS_SECONDS.
        3. The jobs claim nothing more. They have MAX_JOBS_SECONDS; then they are cancelled, hand back what has not
           left, and are waited for, though not for ever (``cancel_all``).
        4. The send journal, the connections to providers, the watch for outages and the simulator are closed.
        5. The store says that this process changes nothing any more, in MAX_QUIESCE_SECONDS, and is closed.
        6. Nobody starts the private mongod again. ``PrivateMongod.stop`` ends it when the event loop has ended:
           guests have GUEST_WAIT seconds to finish, mongod STOP_WAIT, and then it is killed.

        ``scfm serve`` then ends with status 0. Signals that come while this runs change nothing.
        """
        await self._closing.aclose()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return url_of(self.settings.host, self.port)

    @property
    def own_url(self) -> str:
        """Where providers reach it: PUBLIC_URL, else where it listens."""
        return self.settings.public_url or loopback_url(self.settings.host, self.port)

    async def _open(self) -> None:
        flows = Registry.from_setting(self.settings.registered_call_flow_logic, self.settings.default_call_flow_logic)
        store = await self._open_store()
        self.token = await account_setup.first_account(store)
        self.super_admin_id = await account_setup.first_super_admin(store)
        platform = Platform(self.settings, await self._open_simulator())
        callout_hold = CalloutHold(store)
        request_tracker = RequestTracker()
        outage = DatabaseOutage(store.database.ping)
        self._closing.push_async_callback(outage.close)
        calling_accounts = CallingAccounts(store, platform)
        provider = self._open_provider()
        send_journal = SendJournal.open(self.settings.data_dir)
        self._closing.callback(send_journal.close)
        withdrawal = CallWithdrawal(store, callout_hold, send_journal)
        runner, provider_state = self._open_runner(
            store, provider, calling_accounts, callout_hold, send_journal, withdrawal, request_tracker, outage, flows
        )
        preflight = Preflight(
            platform, flows, lambda: self.own_url, request_tracker.call_seconds, provider.request_seconds
        )
        statistics = StatisticsReader(preflight.pace, provider_state, callout_hold.holds.held)
        connections = open_files.client_connections(self.settings.calls_in_flight)
        progress_feeds = ProgressFeeds(store, statistics, outage.noticed, connections)
        collaborators = Collaborators(
            store=store,
            settings=self.settings,
            flows=flows,
            rules=Rules(frozenset(flows.names)),
            platform=platform,
            authenticator=Authenticator(store),
            webhook_accounts=WebhookAccounts(store, platform),
            webhook_rejections=WebhookRejectionLog(),
            wake=runner.wake,
            callout_status_changed=callout_hold.on_event,
            contact_renumbered=callout_hold.on_renumbered,
            opt_outs_changed=callout_hold.opt_outs.on_changed,
            call_withdrawn=withdrawal.withdraw,
            calls_held_changed=callout_hold.holds.on_changed,
            calling_accounts_changed=calling_accounts.forget,
            request_tracker=request_tracker,
            outage=outage,
            bodies=BodyBudget(self.settings.max_body_size),
            imports=import_slots(),
            downloads=download_slots(),
            statistics=statistics,
            progress_feeds=progress_feeds,
            large_answers=LargeAnswers(self.settings.data_dir),
            preflight=preflight,
        )
        await self._listen(WebApplication(routes(), collaborators, MissingHandler), connections)
        self._closing.callback(progress_feeds.close)
        runner.start()
        if self._simulator is not None:
            self._closing.callback(self._simulator.carrier.application_stops)
            self._simulator.carrier.resume()  # its callbacks come to us

    async def _open_store(self) -> Store:
        if self._mongod is not None:
            watch = asyncio.create_task(keep_running(self._mongod))
            self._closing.callback(watch.cancel)
        store = await open_store(self._mongodb_uri, self.settings)
        self._closing.push_async_callback(_close_store, store)
        return store

    async def _open_simulator(self) -> Credentials | None:
        if self.settings.platform_provider != "simulator":
            return None
        journal = _open_journal(self.settings.data_dir / "simulator" / "calls.jsonl")
        sid, token = journal.account()
        simulator = self._simulator = Simulator(account_sid=sid, auth_token=token, journal=journal)
        url = await simulator.start()
        self._closing.push_async_callback(simulator.stop)
        return Credentials("simulator", sid, token, url)

    def _open_provider(self) -> Provider:
        settings = self.settings
        provider = Provider(timeout=settings.provider_timeout, connections=settings.calls_in_flight * 2)
        self._closing.push_async_callback(provider.close)
        return provider

    def _open_runner(
        self,
        store: Store,
        provider: Provider,
        calling_accounts: CallingAccounts,
        callout_hold: CalloutHold,
        send_journal: SendJournal,
        withdrawal: CallWithdrawal,
        request_tracker: RequestTracker,
        outage: DatabaseOutage,
        flows: Registry,
    ) -> tuple[Runner, Callable[[int], ProviderState]]:
        """The jobs, and what they know of the provider of an account, by its id."""
        settings = self.settings
        slots, lease = settings.calls_in_flight, settings.lease_seconds
        runner = Runner(settings.sweep_seconds, outage)
        ends = CalloutEnds(store)
        wake_senders = partial(runner.wake, Dispatcher.name, StatusFetcher.name)
        attempts = PlanAttempts(calling_accounts, flows, FlowSettings.of(settings), lambda: self.own_url)
        runner.add(PlanRunner(store, attempts, calling_accounts, settings, wake_senders, send_journal.id))
        runner.add(BatchRunner(store, lease, wake_senders, send_journal.id, lambda: request_tracker.webhooks_recent))
        pause = request_tracker.yield_to_webhooks
        dispatcher = Dispatcher(
            store, provider, calling_accounts, send_journal, callout_hold, settings, pause, ends.sent
        )
        runner.add(dispatcher)
        runner.add(StatusFetcher(store, provider, calling_accounts, slots=slots, lease=lease))
        watch = ClockWatch()
        runner.add(ClockRepair(store, watch, settings, runner.wake))
        runner.add(Reconciler(store, provider, calling_accounts, send_journal, callout_hold, settings, watch))
        runner.add(
            StatusPoller(store, provider, calling_accounts, lease=lease, seconds=settings.status_check_seconds)
        )
        runner.add(HangUps(store, provider, calling_accounts, withdrawal, lease=lease))
        runner.add(HangUpsOfMany(store, partial(runner.wake, HangUps.name)))
        runner.add(SweepDeletions(store))
        runner.add(ForgetOld(store))
        runner.add(RenumberContacts(store))
        runner.add(SettleOptOuts(store))
        runner.add(ends)
        runner.add(CalloutTenths(store, send_journal.id))
        runner.add(OutcomeKeeper(store))
        runner.add(OutcomeRepair(store))
        self._closing.push_async_callback(runner.stop, MAX_JOBS_SECONDS)
        return runner, dispatcher.breakers.state

    async def _listen(self, application: WebApplication, limit: int) -> None:
        """Serve on no more than LIMIT connections at once."""
        listener = open_listener(self.settings.host, self.settings.port)
        self.port = listener.getsockname()[1]
        connections = Connections(application, listener, limit)
        connections.start()
        tracker = application.collaborators.request_tracker
        self._closing.push_async_callback(finish_requests, connections, tracker, MAX_REQUESTS_SECONDS)


def _open_journal(path: Path) -> Journal:
    """Where the built-in simulator keeps its calls; in memory only, if they cannot be kept at PATH."""
    try:
        return Journal.open(path)
    except StartError as error:
        log.error("%s", error)
        return Journal()


async def _close_store(store: Store) -> None:
    with suppress(Unavailable, TimeoutError):  # without it, other processes only count some more
        async with asyncio.timeout(MAX_QUIESCE_SECONDS):
            await store.quiesce()
    await store.close()


async def open_store(uri: str, settings: Settings, *, read_only: bool = False) -> Store:
    """The store of a server or a command, with its indexes, unless it only reads. Raises StartError."""
    store = Store.open(uri, settings.mongodb_database, counted_fields())
    try:
        await store.database.ping()
        if not read_only:
            await store.database.prepare(indexes(), OBSOLETE_INDEXES)
    except BaseException as error:
        await store.close()
        if not isinstance(error, Unavailable):
            raise
        raise StartError(f"the database at MONGODB_URI does not answer: {error}") from None
    return store

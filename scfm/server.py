"""The composition root: opens the parts of a server, wires them, and closes them in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack

from scfm.calls.account_flows import AccountFlows
from scfm.calls.preflight import Preflight
from scfm.calls.webhook_accounts import WebhookAccounts
from scfm.contacts_bulk.bulk_import import import_slots
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.embedded_mongod.watch import keep_running
from scfm.endpoint_client.client import EndpointClient
from scfm.errors import StartError
from scfm.handlers.application import Collaborators, WebApplication
from scfm.handlers.audit_log import AuditLog
from scfm.handlers.authentication import Authenticator
from scfm.handlers.base import MissingHandler
from scfm.handlers.body_budget import BodyBudget
from scfm.handlers.connections import Connections, finish_requests
from scfm.handlers.download import download_slots
from scfm.handlers.large_answers import LargeAnswers
from scfm.handlers.listener import loopback_url, open_listener, url_of
from scfm.handlers.readiness import Readiness
from scfm.handlers.request_limits import RequestLimits
from scfm.handlers.request_tracker import RequestTracker
from scfm.handlers.routes import routes
from scfm.handlers.session import sign_in_refusals
from scfm.handlers.stored_chunks import StoredChunks
from scfm.handlers.token_uses import TokenUses
from scfm.handlers.webhook_rejection_log import WebhookRejectionLog
from scfm.models import account_setup
from scfm.models.account_setup import FirstAccount
from scfm.models.ended_calls import EndedCalls
from scfm.models.fields import Rules
from scfm.models.idempotency import IdempotencyKeys
from scfm.models.migrations.listed import MIGRATIONS, PROGRAM
from scfm.models.opt_out_digest import OptOutDigests
from scfm.models.platform import Platform
from scfm.models.secrets_at_start import open_secret_box
from scfm.models.stored_documents import CALLS
from scfm.openid.client import open_issuer
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.results.progress_feeds import ProgressFeeds
from scfm.results.queue_figures import QueueFigures
from scfm.results.statistics_reader import StatisticsReader
from scfm.runtime import open_files, telemetry
from scfm.runtime.loop_lag import LoopLag
from scfm.runtime.outage import DatabaseOutage
from scfm.server_jobs import Jobs
from scfm.server_store import MAX_JOBS_SECONDS, MAX_REQUESTS_SECONDS, close_store, open_store
from scfm.setting_values import networks
from scfm.settings import Settings
from scfm.simulator.journal import open_journal
from scfm.simulator.simulator import Simulator
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from scfm.workers.call_withdrawal import CallWithdrawal
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.deliver_webhooks import MAX_WEBHOOKS_AT_ONCE
from scfm.workers.hang_ups import HangUps
from scfm.workers.migrate import Migrate
from scfm.workers.reconciler import Reconciler
from scfm.workers.schema_watch import SchemaWatch
from scfm.workers.send_journal import SendJournal
from scfm.workers.status_poller import StatusPoller

log = logging.getLogger("scfm")


class Server:
    """A server: ``open`` it, and it runs until ``close``.

    ``port`` is the one it listens on, ``first_account`` what an empty database was given just now, and
    ``super_admin_id`` the account that may manage accounts. ``ends`` is set when it must not go on: see ``shut_out``.
    """

    def __init__(self, settings: Settings, mongod: PrivateMongod | None, mongodb_uri: str) -> None:
        """``mongod`` is the embedded one, to be started again when it ends; None for a database run by others."""
        self.settings = settings
        self.port = 0
        self.first_account: FirstAccount | None = None
        self.super_admin_id = 1
        # Set where a newer program has shut this one out of the database: with what the user is told.
        self.shut_out: StartError | None = None
        self.ends = asyncio.Event()
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

        1. ``GET /ready`` answers 503. The simulator is told that the application stops: callbacks that get no answer
           are no errors any more.
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

    @property
    def _provider_connections(self) -> int:
        """How many connections to providers may be open: what asks about calls, or ends them, has its own."""
        asking = StatusPoller.slots + HangUps.slots + Reconciler.slots
        return 2 * self.settings.calls_in_flight + asking

    async def _open(self) -> None:
        settings = self.settings
        telemetry.start(os.environ)
        self._closing.callback(telemetry.stop)
        registry = Registry.from_setting(settings.registered_call_flow_logic, settings.default_call_flow_logic)
        store = await self._open_store()
        secret_box = await open_secret_box(settings, store)
        ended_calls = store.watchers[CALLS] = EndedCalls()
        flows = AccountFlows(store, registry, FlowSettings.of(settings))
        self.first_account = await account_setup.first_account(store)
        self.super_admin_id = await account_setup.first_super_admin(store)
        platform = Platform(settings, await self._open_simulator(), secret_box)
        digests = OptOutDigests(store, secret_box)
        callout_hold, request_tracker = CalloutHold(store, digests), RequestTracker()
        outage = DatabaseOutage(store.database.ping)
        self._closing.push_async_callback(outage.close)
        calling_accounts = CallingAccounts(store, platform)
        provider = self._open_provider()
        send_journal = SendJournal.open(self.settings.data_dir)
        self._closing.callback(send_journal.close)
        withdrawal = CallWithdrawal(store, callout_hold, send_journal)
        endpoint_client = self._open_endpoint_client()
        jobs = Jobs(
            settings=settings,
            store=store,
            provider=provider,
            calling_accounts=calling_accounts,
            callout_hold=callout_hold,
            send_journal=send_journal,
            withdrawal=withdrawal,
            request_tracker=request_tracker,
            flows=flows,
            secret_box=secret_box,
            own_url=lambda: self.own_url,
            digests=digests,
            endpoint_client=endpoint_client,
        )
        runner, provider_state = jobs.runner(outage)
        runner.add(Migrate(store, MIGRATIONS))
        runner.add(SchemaWatch(store, PROGRAM, self._on_shut_out))
        self._closing.push_async_callback(runner.stop, MAX_JOBS_SECONDS)
        seconds = request_tracker.call_seconds, provider.request_seconds
        preflight = Preflight(store, platform, flows, lambda: self.own_url, *seconds)
        statistics = StatisticsReader(preflight.pace, provider_state, callout_hold.holds.held)
        connections = open_files.client_connections(self._provider_connections)
        progress_feeds = ProgressFeeds(store, statistics, outage.noticed, connections)
        readiness = Readiness(store, runner.faults)
        queue_figures = QueueFigures(store, ended_calls, calling_accounts.provider)
        self._closing.callback(queue_figures.close)
        token_uses, request_limits = TokenUses(store), RequestLimits(settings)
        self._closing.push_async_callback(token_uses.close)
        issuer = open_issuer(settings)
        if issuer is not None:
            self._closing.push_async_callback(issuer.close)
        collaborators = Collaborators(
            store=store,
            settings=self.settings,
            flows=flows,
            rules=Rules(frozenset(registry.names), secret_box=secret_box),
            platform=platform,
            authenticator=Authenticator(store, token_uses, request_limits, settings.public_url),
            audit=AuditLog(store, self.settings.trusted_proxies),
            idempotency_keys=self._open_idempotency_keys(),
            webhook_accounts=WebhookAccounts(store, platform),
            webhook_rejections=WebhookRejectionLog(),
            request_limits=request_limits,
            sign_in_refusals=sign_in_refusals(),
            wake=runner.wake,
            callout_status_changed=callout_hold.on_event,
            contact_renumbered=callout_hold.on_renumbered,
            call_withdrawn=withdrawal.withdraw,
            calls_held_changed=callout_hold.holds.on_changed,
            calling_accounts_changed=calling_accounts.forget,
            request_tracker=request_tracker,
            outage=outage,
            bodies=BodyBudget(self.settings.max_body_size),
            imports=import_slots(),
            downloads=download_slots(),
            stored_chunks=StoredChunks(store),
            statistics=statistics,
            progress_feeds=progress_feeds,
            queue_figures=queue_figures,
            readiness=readiness,
            large_answers=LargeAnswers(self.settings.data_dir),
            preflight=preflight,
            secret_box=secret_box,
            endpoint_client=endpoint_client,
            issuer=issuer,
        )
        await self._listen(WebApplication(routes(), collaborators, MissingHandler), connections)
        self._closing.callback(progress_feeds.close)
        runner.start()
        loop_lag = LoopLag()
        loop_lag.start()
        self._closing.callback(loop_lag.close)
        if self._simulator is not None:
            self._closing.callback(self._simulator.carrier.application_stops)
            self._simulator.carrier.resume()  # its callbacks come to us
        self._closing.callback(readiness.drain)

    def _on_shut_out(self, error: StartError) -> None:
        self.shut_out = error
        self.ends.set()

    async def _open_store(self) -> Store:
        if self._mongod is not None:
            watch = asyncio.create_task(keep_running(self._mongod))
            self._closing.callback(watch.cancel)
        store = await open_store(self._mongodb_uri, self.settings)
        self._closing.push_async_callback(close_store, store)
        return store

    async def _open_simulator(self) -> Credentials | None:
        if self.settings.platform_provider != "simulator":
            return None
        journal = open_journal(self.settings.data_dir / "simulator" / "calls.jsonl")
        sid, token = journal.account()
        simulator = self._simulator = Simulator(account_sid=sid, auth_token=token, journal=journal)
        url = await simulator.start()
        self._closing.push_async_callback(simulator.stop)
        return Credentials("simulator", sid, token, url)

    def _open_idempotency_keys(self) -> IdempotencyKeys:
        keys = IdempotencyKeys()
        self._closing.push_async_callback(keys.close)
        return keys

    def _open_provider(self) -> Provider:
        provider = Provider(timeout=self.settings.provider_timeout, connections=self._provider_connections)
        self._closing.push_async_callback(provider.close)
        return provider

    def _open_endpoint_client(self) -> EndpointClient:
        client = EndpointClient(networks(self.settings.webhook_allowed_networks), MAX_WEBHOOKS_AT_ONCE)
        self._closing.push_async_callback(client.close)
        return client

    async def _listen(self, application: WebApplication, limit: int) -> None:
        """Serve on no more than LIMIT connections at once."""
        listener = open_listener(self.settings.host, self.settings.port)
        self.port = listener.getsockname()[1]
        connections = Connections(application, listener, limit)
        connections.start()
        self._closing.callback(application.request_log.close)
        tracker = application.collaborators.request_tracker
        self._closing.push_async_callback(finish_requests, connections, tracker, MAX_REQUESTS_SECONDS)

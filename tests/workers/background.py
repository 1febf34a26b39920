"""The jobs of one server process over a real store and a real carrier, without the server around them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from scfm.clock import SYSTEM_CLOCK, MonotonicClock, now
from scfm.models.account_setup import make_account
from scfm.models.platform import Platform
from scfm.providers.client import Provider
from scfm.settings import Settings
from scfm.simulator.callee import Callee, CalleeRule
from scfm.simulator.simulator import Simulator
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.batch_runner import BatchRunner
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.clock_repair import ClockRepair
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.dispatcher import Dispatcher, ServerHooks
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.reconciler import Reconciler
from scfm.workers.renumber_contacts import RenumberContacts
from scfm.workers.runner import Job, Runner
from scfm.workers.send_journal import SendJournal
from scfm.workers.status_fetcher import StatusFetcher
from scfm.workers.status_poller import StatusPoller

T = TypeVar("T")

SID, TOKEN = "AC" + "1" * 32, "secret"
PARAMS = {"from": "345", "url": "http://127.0.0.1:9/none"}
ANSWERS = CalleeRule(Callee(after=1.0), prefix="+")
# So slow that no call gets any further while a test looks at it.
STANDSTILL = 1000.0


@asynccontextmanager
async def carrier(**options: Any) -> AsyncIterator[Simulator]:
    """A carrier that takes calls; nothing more becomes of them unless ``life_size`` says otherwise."""
    told = {"account_sid": SID, "auth_token": TOKEN, "callees": (ANSWERS,), "life_size": STANDSTILL}
    simulator = Simulator(**{**told, **options})
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


def settings_for(base_url: str, data_dir: Path, **settings: Any) -> Settings:
    """Settings for calls through the carrier at BASE_URL, quick about what is not known."""
    return Settings(
        **{
            "data_dir": data_dir,
            "twilio_account_sid": SID,
            "twilio_auth_token": TOKEN,
            "twilio_client_rest_api_base_url": base_url,
            "unknown_grace_seconds": 0.0,
            "lease_seconds": 30.0,
            "provider_timeout": 5.0,
            **settings,
        }
    )


# Where nobody listens.
OWN_URL = "http://127.0.0.1:9"


class Background:
    """One process's jobs. ``store``, ``provider`` and ``send_journal`` may be ones that break."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        provider: Provider | None = None,
        send_journal: SendJournal | None = None,
        clock: MonotonicClock = SYSTEM_CLOCK,
        clock_watch: ClockWatch | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.provider = provider or Provider(timeout=settings.provider_timeout)
        self.send_journal = send_journal or SendJournal.open(settings.data_dir)
        self.callout_hold = CalloutHold(store)
        self.runner = Runner(settings.sweep_seconds)
        self.accounts = accounts = CallingAccounts(store, Platform(settings))
        lease = settings.lease_seconds
        self.batch_runner = BatchRunner(store, lease, self.runner.wake, self.send_journal.id)
        self.dispatcher = Dispatcher(
            store,
            self.provider,
            accounts,
            self.send_journal,
            self.callout_hold,
            settings,
            clock=clock,
            server=ServerHooks(lambda: settings.public_url or OWN_URL),
        )
        self.clock_watch = clock_watch or ClockWatch()
        self.clock_repair = ClockRepair(store, self.clock_watch, settings, self.runner.wake)
        self.status_fetcher = StatusFetcher(store, self.provider, accounts, slots=20, lease=lease)
        self.reconciler = Reconciler(
            store, self.provider, accounts, self.send_journal, self.callout_hold, settings, self.clock_watch
        )
        seconds = settings.status_check_seconds
        self.status_poller = StatusPoller(store, self.provider, accounts, lease=lease, seconds=seconds)
        self.renumber_contacts = RenumberContacts(store)
        self.outcome_keeper = OutcomeKeeper(store)
        for job in (
            self.batch_runner,
            self.dispatcher,
            self.status_fetcher,
            self.reconciler,
            self.status_poller,
            self.renumber_contacts,
            self.outcome_keeper,
        ):
            self.runner.add(job)

    async def close(self) -> None:
        """Let go of the carrier and of the send journal."""
        await self.provider.close()
        self.send_journal.close()


@asynccontextmanager
async def background(store: Store, settings: Settings) -> AsyncIterator[Background]:
    """The jobs of one process, to be run by hand."""
    jobs = Background(store, settings)
    try:
        yield jobs
    finally:
        await jobs.close()


async def pass_over(job: Job) -> int:
    """Let the job claim what it can, and process each in turn; how many there were."""
    items = await job.claim(job.slots)
    for item in items:
        await job.process(item)
    return len(items)


async def send_due(jobs: Background) -> int:
    """Let the dispatcher claim what it can at once, and send it together; how many calls there were."""
    jobs.dispatcher._claim_again_at = 0.0
    items = await jobs.dispatcher.claim(jobs.dispatcher.slots)
    await asyncio.gather(*(jobs.dispatcher.process(item) for item in items))
    return len(items)


async def reached(simulator: Simulator, count: int) -> bool:
    """Whether the carrier has been asked for so many calls."""
    return len(simulator.ledger.requests) >= count


async def nothing_claimed(store: Store) -> bool:
    """Whether no process has a call."""
    return not await store.all_tenants.exists("phone_calls", {"_work.lease": {"$exists": True}})


async def eventually(condition: Callable[[], Awaitable[T]], seconds: float = 120.0) -> T:
    """What the condition gives, asked until it gives something true."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.001)
        return found


async def account(store: Store) -> int:
    """A new account; its id."""
    await make_account(store, super_admin=False)
    newest = await store.all_tenants.find("accounts", {}, fields=["_id"], sort=[("_id", -1)], limit=1)
    return int(newest[0]["_id"])


async def queued_calls(store: Store, account_id: int, numbers: list[str], **fields: Any) -> list[int]:
    """Calls to the numbers, queued just now; their ids."""
    moment = now()
    ids = await store.counters.ids("phone_call").allocate(len(numbers))
    calls = [
        {
            "_id": number,
            "account_id": account_id,
            "callout_participation_id": None,
            "callout_id": None,
            "contact_id": None,
            "status": "queued",
            "msisdn": msisdn,
            "remote_call_id": None,
            "remote_status": None,
            "remote_direction": None,
            "remote_error_message": None,
            "remote_request_params": PARAMS,
            "remotely_queued_at": None,
            "call_flow_logic": None,
            "metadata": {},
            "created_at": moment,
            "updated_at": moment,
            "_version": 1,
            "_work": {"due": moment},
            **fields,
        }
        for number, msisdn in zip(ids, numbers, strict=True)
    ]
    await store.all_tenants.insert_many("phone_calls", calls)
    return list(ids)


async def calls_of(store: Store) -> list[Document]:
    """Every call, by id."""
    return await store.all_tenants.find("phone_calls", {})


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that is full, as far as this process's files go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

"""Keeps calls back from a provider that does not answer, or takes no more, until it is seen to be back.

A circuit breaker (M. Nygard, "Release It!") for each account, as each may have a provider of its own. It is closed
while calls succeed; failures one after another open it, and no call leaves; then it is half-open, and a single call
tries, after a longer time whenever that fails, too. A 429 opens it for as long as the provider asks. All of this is
known to this process alone.
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import partial
from typing import Literal

from scfm.clock import MonotonicClock, now
from scfm.results.provider_state import ProviderState
from scfm.runtime.backoff import Backoff
from scfm.runtime.metrics import PROVIDERS_FAILING
from scfm.runtime.outage import Outage

FAILURES_TO_OPEN = 5
# Each process tries for itself, so there is nobody whom jitter would keep apart.
PROBE_BACKOFF = Backoff(first=1.0, longest=60.0, jitter=0.0)
# Whoever has calls that wait tries at least so often; without any nobody tries, and nobody knows.
TRIED_SECONDS = 2 * PROBE_BACKOFF.longest
# What a provider does again within this time is still the same outage, for the log.
OUTAGE_SECONDS = 30.0


class CircuitBreaker:
    """One account's breaker: it is told how requests end, and tells whether more may leave."""

    def __init__(self, account_id: int, clock: MonotonicClock) -> None:
        self._clock = clock
        # Monotonic seconds: until then the breaker is open.
        self.open_until = 0.0
        # Whether only a single call may try once it is not open.
        self.half_open = False
        self._failures = 0
        # When a request last failed, in monotonic seconds.
        self._failed_at = -math.inf
        # How often it has been opened since the provider's last answer.
        self._opened = 0
        provider = f"the provider of account {account_id}"
        self._outage = Outage(
            f"{provider} does not answer; its calls wait", f"{provider} answers again", quiet=OUTAGE_SECONDS
        )
        self._throttling = Outage(
            f"{provider} takes no more calls for now", f"{provider} takes calls again", quiet=OUTAGE_SECONDS
        )
        self._refused = False
        self._answered_at: datetime | None = None
        self._refusal = Outage(f"{provider} refuses the account; its calls wait", f"{provider} takes its calls again")

    @property
    def is_open(self) -> bool:
        """Whether no call may leave now: those that have been claimed are queued again."""
        return self.open_until > self._clock.monotonic()

    @property
    def state(self) -> ProviderState:
        """What these requests have told."""
        failing: Literal["refusing", "failing"] = "refusing" if self._refused else "failing"
        return ProviderState(failing if self.half_open else "ok", self._answered_at)

    @property
    def is_failing(self) -> bool:
        """Whether calls of the account are tried now and again, as its provider does not take them."""
        return self.half_open and self._clock.monotonic() < self._failed_at + TRIED_SECONDS

    def answered(self) -> None:
        """The provider has answered, yes or no: it is there."""
        self._failures = self._opened = 0
        self.half_open = self._refused = False
        self._answered_at = now()
        self._outage.answered()
        self._refusal.answered()
        self._throttling.answered()

    def throttled(self, seconds: float) -> None:
        """The provider has asked the account to wait for SECONDS."""
        self.open_until = max(self.open_until, self._clock.monotonic() + seconds)
        self._throttling.failed(f"429, wait {seconds:g} s; calls_per_second may be set lower")

    def failed(self, reason: str) -> None:
        """The provider did not answer, or could not be reached, for REASON (a sentence, for the log)."""
        self._fail(self._outage, reason)

    def refused(self, reason: str) -> None:
        """The provider refuses the account itself: only single calls try from now on, as if it had failed often."""
        self._failures = max(self._failures, FAILURES_TO_OPEN - 1)
        self._refused = True
        self._fail(self._refusal, reason)

    def _fail(self, outage: Outage, reason: str) -> None:
        self._failures += 1
        self._failed_at = self._clock.monotonic()
        self.half_open = self._failures >= FAILURES_TO_OPEN
        # Calls that were under way together fail together: that is one reason to wait longer, not many.
        if self.half_open and not self.is_open:
            self._opened += 1
            self.open_until = self._clock.monotonic() + PROBE_BACKOFF.seconds(self._opened)
            outage.failed(reason)

    def try_now(self) -> None:
        """What kept the account's calls back may be over: let a single one try at once."""
        self.open_until, self._opened = 0.0, 0


class CircuitBreakers(dict[int, CircuitBreaker]):
    """The breaker of each account, by the account's id; there is one for every id."""

    def __init__(self, clock: MonotonicClock) -> None:
        super().__init__()
        self._clock = clock
        for state in ("failing", "refusing"):
            PROVIDERS_FAILING.labels(state).set_function(partial(self._count, state))

    def _count(self, state: str) -> int:
        """How many accounts have a provider of that state, as far as they still have calls to try it with.

        Where another process has made the last of them, this one never hears that the provider is back.
        """
        return sum(breaker.is_failing and breaker.state.state == state for breaker in self.values())

    def state(self, account_id: int) -> ProviderState:
        """What is known of the provider of an account."""
        return self[account_id].state if account_id in self else ProviderState()

    def __missing__(self, account_id: int) -> CircuitBreaker:
        breaker = self[account_id] = CircuitBreaker(account_id, self._clock)
        return breaker

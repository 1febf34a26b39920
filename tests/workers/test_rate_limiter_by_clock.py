"""When calls may leave, by a clock that the test owns: probes of a provider that fails, and reserved moments."""

from __future__ import annotations

from typing import Any

import pytest

from scfm.runtime.metrics import REGISTRY
from scfm.storage.store import Store
from scfm.workers.circuit_breaker import FAILURES_TO_OPEN, PROBE_BACKOFF, TRIED_SECONDS, CircuitBreakers
from scfm.workers.rate_limiter import RateLimiter
from tests.workers.owned_clock import OwnedClock, OwnedStore

ROOM = 7


@pytest.fixture
def clock() -> OwnedClock:
    """A monotonic clock that a test sets."""
    return OwnedClock()


def limiter_of(store: Store, clock: OwnedClock, **limits: Any) -> RateLimiter:
    """A rate limiter by the test's clock, which is the database's, too."""
    owned = OwnedStore.within(store, clock)
    limits = {"calls_per_second": 0.0, "calls_in_flight": 10, "patience": 15.0, **limits}
    return RateLimiter(owned, breakers=CircuitBreakers(clock), clock=clock, **limits)


async def test_a_breaker_waits_twice_as_long_after_each_probe_that_fails(store: Store, clock: OwnedClock) -> None:
    rate_limiter = limiter_of(store, clock)
    for _ in range(FAILURES_TO_OPEN):
        assert rate_limiter.allowance(1, None, None) == ROOM
        rate_limiter.breakers[1].failed("no answer")
    wait = PROBE_BACKOFF.first
    for _ in range(10):
        assert rate_limiter.allowance(1, None, None) == 0 and rate_limiter.breakers[1].is_open
        assert rate_limiter.allowance(2, None, None) == ROOM, "another account's provider is well"
        clock.seconds += wait - 0.01
        assert rate_limiter.allowance(1, None, None) == 0
        clock.seconds += 0.02
        assert rate_limiter.allowance(1, None, None) == 1
        rate_limiter.call_started(1)
        assert rate_limiter.allowance(1, None, None) == 0, "a probe is one call"
        rate_limiter.call_ended(1)
        rate_limiter.breakers[1].failed("no answer")
        wait = min(PROBE_BACKOFF.longest, wait * 2)
    clock.seconds += PROBE_BACKOFF.longest + 1
    rate_limiter.breakers[1].answered()
    assert rate_limiter.allowance(1, None, None) == ROOM


async def test_an_account_counts_as_failing_for_as_long_as_calls_of_it_are_tried(clock: OwnedClock) -> None:
    def shown() -> float | None:
        return REGISTRY.get_sample_value("scfm_provider_accounts_failing", {"state": "failing"})

    breakers = CircuitBreakers(clock)
    for _ in range(FAILURES_TO_OPEN):
        assert shown() == 0
        breakers[1].failed("no answer")
    for _ in range(5):
        clock.seconds += PROBE_BACKOFF.longest
        assert shown() == 1
        breakers[1].failed("no answer")
    clock.seconds += TRIED_SECONDS
    assert shown() == 0, "another process has made the last of its calls"
    assert breakers[1].half_open, "the next call is a probe all the same"
    breakers[1].failed("no answer")
    assert shown() == 1
    breakers[1].answered()
    assert shown() == 0


async def test_calls_that_fail_together_count_as_one_reason_to_wait(store: Store, clock: OwnedClock) -> None:
    rate_limiter = limiter_of(store, clock)
    for _ in range(10 * FAILURES_TO_OPEN):
        rate_limiter.breakers[1].failed("no answer")
    clock.seconds += PROBE_BACKOFF.first + 0.01
    assert rate_limiter.allowance(1, None, None) == 1


async def test_an_answer_now_and_then_keeps_the_breaker_closed(store: Store, clock: OwnedClock) -> None:
    rate_limiter = limiter_of(store, clock)
    for _ in range(5):
        for _ in range(FAILURES_TO_OPEN - 1):
            rate_limiter.breakers[1].failed("no answer")
        rate_limiter.breakers[1].answered()
    assert rate_limiter.allowance(1, None, None) == ROOM


async def test_the_longest_wait_that_the_provider_asked_for_holds(store: Store, clock: OwnedClock) -> None:
    rate_limiter = limiter_of(store, clock)
    rate_limiter.breakers[1].throttled(30)
    rate_limiter.breakers[1].throttled(1)
    clock.seconds += 29
    assert rate_limiter.allowance(1, None, None) == 0
    clock.seconds += 2
    assert rate_limiter.allowance(1, None, None) == ROOM


async def test_nothing_is_taken_that_others_have_left_no_moment_for(store: Store, clock: OwnedClock) -> None:
    """Else calls would be claimed, and given back, over and over."""
    one, other = limiter_of(store, clock, patience=1.0), limiter_of(store, clock, patience=1.0)
    assert await one.reserve(1, 2.0, 4) is not None
    assert await other.reserve(1, 2.0, 1) is None
    assert other.allowance(1, 2.0, None) == 0
    assert 0 < other.seconds_until_room() < 3
    assert other.allowance(2, 2.0, None) == 1


async def test_moments_follow_one_another_at_the_rate_whoever_books_them(store: Store, clock: OwnedClock) -> None:
    one, other = limiter_of(store, clock), limiter_of(store, clock)
    booked = [moment for rate_limiter in (one, other, one) for moment in await rate_limiter.reserve(1, 10.0, 5) or ()]
    gaps = [late - soon for soon, late in zip(sorted(booked), sorted(booked)[1:], strict=False)]
    assert len(booked) == 15 and booked[0] == clock.monotonic()
    assert all(abs(gap - 0.1) < 0.01 for gap in gaps), gaps


async def test_a_database_whose_clock_goes_back_keeps_no_call_waiting(store: Store, clock: OwnedClock) -> None:
    rate_limiter = limiter_of(store, clock)
    assert await rate_limiter.reserve(1, 10.0, 5) is not None
    clock.seconds -= 3600
    (moment, *_) = await rate_limiter.reserve(1, 10.0, 5) or [-1.0]
    assert moment == clock.monotonic()
    (following,) = await rate_limiter.reserve(1, 10.0, 1) or [-1.0]
    assert abs(following - moment - 0.5) < 0.01


async def test_a_slow_rate_is_no_clock_that_went_back(store: Store, clock: OwnedClock) -> None:
    rate_limiter = limiter_of(store, clock)
    assert await rate_limiter.reserve(1, 0.001, 1) == [clock.monotonic()]
    assert await rate_limiter.reserve(1, 0.001, 1) is None
    # At a higher rate what was reserved takes less, but is still reserved.
    (moment,) = await rate_limiter.reserve(1, 1.0, 1) or [-1.0]
    assert abs(moment - clock.monotonic() - 1) < 0.01


async def test_a_reservation_whose_answer_is_long_in_coming_is_made_anew(store: Store, clock: OwnedClock) -> None:
    rate_limiter = limiter_of(store, clock)
    reserve = rate_limiter._store.reserve
    delays = [1.0, 0.0]

    async def slow(*given: Any) -> float:
        wait = await reserve(*given)
        clock.seconds += delays.pop(0)
        return wait

    rate_limiter._store.reserve = slow  # type: ignore[method-assign]
    assert await rate_limiter.reserve(1, 10.0, 1) == [clock.monotonic()]
    assert not delays


@pytest.mark.parametrize(("rate", "seconds"), [(1.0, 0.5), (40.0, 0.05), (1000.0, 0.05)])
async def test_what_a_call_may_come_late_is_little_beside_its_rate(
    store: Store, clock: OwnedClock, rate: float, seconds: float
) -> None:
    assert limiter_of(store, clock).tolerance(rate) == seconds
    assert limiter_of(store, clock, calls_per_second=rate).tolerance(None) == seconds
    assert limiter_of(store, clock).tolerance(None) == float("inf")

"""A quota of requests: at a steady rate and in bursts, for as many clients as there are."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.clock import MonotonicClock
from scfm.runtime import request_quota
from scfm.runtime.request_quota import RequestQuota

RATES, WINDOWS = st.floats(0.5, 1000), st.floats(1, 60)


class Clock(MonotonicClock):
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@given(RATES, WINDOWS, st.lists(st.floats(0, 30), max_size=200))
def test_within_any_time_no_more_come_than_the_quota_and_what_has_refilled(
    rate: float, window: float, pauses: list[float]
) -> None:
    clock = Clock()
    quota = RequestQuota(rate, window, clock)
    let_in = []
    for pause in pauses:
        clock.seconds += pause
        while not quota.take("client").wait and len(let_in) < 3000:
            let_in.append(clock.seconds)
    for begin in range(0, len(let_in), max(1, len(let_in) // 20)):
        for end in range(begin, len(let_in)):
            assert end - begin + 1 <= quota.size + rate * (let_in[end] - let_in[begin]) + 1e-3
    assert all(earlier <= later for earlier, later in pairwise(let_in))


@given(RATES, WINDOWS, st.integers(0, 100))
def test_whoever_waits_as_long_as_it_is_told_is_let_in(rate: float, window: float, more: int) -> None:
    clock = Clock()
    quota = RequestQuota(rate, window, clock)
    for _ in range(min(quota.size, 2000) + more):
        use = quota.take("client")
        assert use.wait == quota.wait("client") or not use.wait
        clock.seconds += use.wait
        assert not use.wait or not quota.take("client").wait


def test_it_says_how_many_are_left_and_others_have_their_own() -> None:
    clock = Clock()
    quota = RequestQuota(2, 10, clock)
    assert [quota.take("client").left for _ in range(20)] == list(range(19, -1, -1))
    assert quota.take("client") == (0.5, 0)
    assert quota.take("another") == (0, 19)
    clock.seconds += 5
    assert quota.take("client") == (0, 9)


def test_nobody_is_refused_without_a_rate() -> None:
    quota = RequestQuota(0, 10, Clock())
    assert {quota.take("client").wait for _ in range(1000)} == {0}


def test_it_remembers_a_bounded_number_of_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_quota, "MAX_QUOTA_KEYS", 100)
    clock = Clock()
    quota = RequestQuota(1, 1, clock)
    for number in range(1000):
        assert not quota.take(number).wait
        assert len(quota._whole_at) <= 100
    assert quota.take(999).wait, "the newest are remembered"

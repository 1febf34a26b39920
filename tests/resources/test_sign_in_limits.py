"""How often signing in may fail, who is kept out by it and for how long, and what a try costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters

from scfm.clock import now
from scfm.errors import TooManyRequests, Unauthorized
from scfm.models import passwords, sign_in
from scfm.models.sign_in import FAILURE_WINDOW, SIGN_IN_FAILURES, authenticate, network_of
from scfm.storage.store import Store

RIGHT, WRONG = "correct horse", "wrong horse"
HOME, OFFICE = "192.0.2.1", "198.51.100.7"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class CountingHasher:
    """QUICK, and how often it has compared."""

    def __init__(self) -> None:
        self.compared: list[str] = []

    def verify(self, password_hash: str, password: str) -> bool:
        self.compared.append(password_hash)
        return QUICK.verify(password_hash, password)

    def check_needs_rehash(self, password_hash: str) -> bool:
        return QUICK.check_needs_rehash(password_hash)

    def hash(self, password: str) -> str:
        return QUICK.hash(password)


@pytest.fixture(autouse=True)
def hasher(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingHasher]:
    counting = CountingHasher()
    monkeypatch.setattr(passwords, "HASHER", counting)
    monkeypatch.setattr(passwords, "HASH_OF_NOBODY", QUICK.hash("of nobody"))
    yield counting


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller limits than those of a server: 5 of both, 10 of an address, 20 of an email."""
    monkeypatch.setattr(sign_in, "MAX_FAILURES_OF_ADDRESS", 10)
    monkeypatch.setattr(sign_in, "MAX_FAILURES_OF_EMAIL", 20)


async def user(store: Store, email: str, **more: Any) -> None:
    number = len(await store.all_tenants.find("users", {})) + 1
    known = {"_id": number, "email": email, "password_hash": QUICK.hash(RIGHT), "_version": 1, **more}
    await store.for_account(1).insert("users", known)


async def outcome(store: Store, email: str, password: str, address: str = HOME) -> str:
    try:
        found = await authenticate(store, email, password, address)
    except Unauthorized:
        return "refused"
    except TooManyRequests as error:
        assert 1 <= error.retry_after <= FAILURE_WINDOW.total_seconds()
        return "kept out"
    return str(found["email"])


async def fail(store: Store, times: int, email: str = "alice@example.org", address: str = HOME) -> None:
    for _ in range(times):
        assert await outcome(store, email, WRONG, address) == "refused"


async def pass_time(store: Store, time: timedelta) -> None:
    """As if TIME had passed since the failures."""
    marks = store.database.collection(SIGN_IN_FAILURES)
    async for one in marks.find({}):
        earlier = [{**mark, "at": mark["at"] - time} for mark in one["marks"]]
        await marks.update_one({"_id": one["_id"]}, {"$set": {"marks": earlier}})


async def test_the_right_password_signs_in_whatever_the_case_of_the_email(store: Store) -> None:
    await user(store, "alice@example.org")
    assert await outcome(store, " Alice@Example.org\n", RIGHT) == "alice@example.org"
    assert await outcome(store, "alice@example.org", WRONG) == "refused"
    assert await outcome(store, "bob@example.org", RIGHT) == "refused"


async def test_after_five_failures_the_email_is_kept_out_from_this_address_alone(store: Store) -> None:
    await user(store, "alice@example.org")
    await user(store, "bob@example.org")
    await fail(store, 5)
    assert await outcome(store, "alice@example.org", RIGHT) == "kept out"
    assert await outcome(store, "ALICE@example.org", RIGHT) == "kept out"
    assert await outcome(store, "alice@example.org", RIGHT, OFFICE) == "alice@example.org"
    assert await outcome(store, "bob@example.org", RIGHT) == "bob@example.org"


async def test_an_address_is_kept_out_after_its_failures_with_any_emails_and_others_are_not(store: Store) -> None:
    await user(store, "alice@example.org")
    for number in range(10):
        await fail(store, 1, f"{number}@example.org")
    assert await outcome(store, "alice@example.org", RIGHT) == "kept out"
    assert await outcome(store, "alice@example.org", RIGHT, OFFICE) == "alice@example.org"


async def test_an_email_is_kept_out_after_its_failures_from_any_addresses_and_others_are_not(store: Store) -> None:
    await user(store, "alice@example.org")
    await user(store, "bob@example.org")
    for number in range(20):
        await fail(store, 1, address=f"192.0.2.{number}")
    assert await outcome(store, "alice@example.org", RIGHT, OFFICE) == "kept out"
    assert await outcome(store, "bob@example.org", RIGHT, OFFICE) == "bob@example.org"


async def test_it_is_over_when_the_first_failure_is_five_minutes_old(store: Store) -> None:
    await user(store, "alice@example.org")
    await fail(store, 1)
    await pass_time(store, timedelta(minutes=3))
    await fail(store, 4)
    with pytest.raises(TooManyRequests) as kept_out:
        await authenticate(store, "alice@example.org", RIGHT, HOME)
    assert 1 <= kept_out.value.retry_after <= 120
    await pass_time(store, timedelta(seconds=kept_out.value.retry_after))
    await fail(store, 1)  # one more is taken, and is the fifth
    assert await outcome(store, "alice@example.org", RIGHT) == "kept out"
    await pass_time(store, FAILURE_WINDOW)
    assert await outcome(store, "alice@example.org", RIGHT) == "alice@example.org"


async def test_what_is_refused_by_a_limit_is_no_failure_and_the_right_password_is_none(store: Store) -> None:
    await user(store, "alice@example.org")
    for _ in range(12):
        assert await outcome(store, "alice@example.org", RIGHT) == "alice@example.org"
    await fail(store, 5)
    for _ in range(12):
        assert await outcome(store, "alice@example.org", WRONG) == "kept out"
    await user(store, "bob@example.org")
    assert await outcome(store, "bob@example.org", RIGHT) == "bob@example.org"  # five of ten from this address


async def test_no_more_passwords_are_compared_at_once_than_may_fail(store: Store, hasher: CountingHasher) -> None:
    await user(store, "alice@example.org")
    tries = [outcome(store, "alice@example.org", WRONG) for _ in range(30)]
    outcomes = await asyncio.gather(*tries)
    assert sorted(outcomes) == ["kept out"] * 25 + ["refused"] * 5
    assert len(hasher.compared) == 5


async def test_processes_that_compare_at_the_same_time_share_the_limits(
    store: Store, monkeypatch: pytest.MonkeyPatch, hasher: CountingHasher
) -> None:
    """Each with a queue of its own, so that nothing but the database keeps them apart."""
    await user(store, "alice@example.org")
    processes = [passwords.PasswordHashing() for _ in range(12)]

    async def one(process: passwords.PasswordHashing) -> str:
        monkeypatch.setattr(sign_in, "PASSWORDS", process)
        return await outcome(store, "alice@example.org", WRONG)

    outcomes = await asyncio.gather(*map(one, processes))
    assert outcomes.count("refused") <= 5
    assert len(hasher.compared) == outcomes.count("refused")


async def test_a_try_that_was_cut_off_has_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await user(store, "alice@example.org")

    def die(*_: object) -> None:
        raise KeyError("the process has died")

    with monkeypatch.context() as patch:
        patch.setattr(passwords.HASHER, "verify", die)
        for _ in range(5):
            with pytest.raises(KeyError):
                await authenticate(store, "alice@example.org", RIGHT, HOME)
    assert await outcome(store, "alice@example.org", RIGHT) == "kept out"


async def test_what_is_kept_is_small_and_goes_by_itself(store: Store) -> None:
    await fail(store, 5)
    for _ in range(30):
        assert await outcome(store, "alice@example.org", WRONG) == "kept out"
    kept = [one async for one in store.database.collection(SIGN_IN_FAILURES).find({})]
    assert [len(one["marks"]) for one in kept] == [5, 5, 5]
    assert all(now() < one["expires_at"] <= now() + FAILURE_WINDOW for one in kept)
    assert "alice" not in str(kept) and HOME not in str(kept)


async def test_an_unknown_email_costs_a_comparison_as_a_known_one(store: Store, hasher: CountingHasher) -> None:
    await user(store, "alice@example.org")
    await user(store, "carol@example.org", password_hash=None)
    for email in ("alice@example.org", "nobody@example.org", "carol@example.org", "", "x" * 10_000):
        hasher.compared.clear()
        assert await outcome(store, email, WRONG) == "refused"
        assert len(hasher.compared) == 1
        assert extract_parameters(hasher.compared[0]) == extract_parameters(QUICK.hash("any"))


async def test_a_password_hashed_with_other_parameters_is_hashed_anew_when_it_is_right(store: Store) -> None:
    older = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(RIGHT)
    await user(store, "alice@example.org", password_hash=older)
    assert await outcome(store, "alice@example.org", WRONG) == "refused"
    kept = await store.for_account(1).find_one("users", {})
    assert kept is not None and kept["password_hash"] == older
    assert await outcome(store, "alice@example.org", RIGHT) == "alice@example.org"
    kept = await store.for_account(1).find_one("users", {})
    assert kept is not None
    assert extract_parameters(kept["password_hash"]) == extract_parameters(QUICK.hash("any"))
    assert await outcome(store, "alice@example.org", RIGHT) == "alice@example.org"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_the_addresses_of_one_network_of_ipv6_count_as_one(address: str, network: str) -> None:
    assert network_of(address) == network

"""Hashes of passwords are made in turn, and nobody waits for them for longer than a client would."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher, extract_parameters

from scfm.errors import Overloaded
from scfm.models import passwords
from scfm.models.passwords import PasswordHashing


class Hasher:
    """Makes hashes at once, and remembers in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        monkeypatch.setattr(passwords, "HASHER", self)

    def hash(self, password: str) -> str:
        self.made.append(password)
        return password[::-1]


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Hasher:
    return Hasher(monkeypatch)


async def test_accounts_have_their_turns(hasher: Hasher) -> None:
    hashing = PasswordHashing()
    asked = [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")]
    made = await asyncio.gather(*(hashing.hash(account, password) for account, password in asked))
    assert made == ["1a", "2a", "3a", "1b", "1c", "2b"]
    assert hasher.made == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_who_would_wait_too_long_is_refused_at_once_and_another_account_is_not(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "MAX_HASH_WAIT_SECONDS", 10 * passwords.FIRST_GUESS_SECONDS)
    hashing = PasswordHashing()
    flood = [asyncio.ensure_future(hashing.hash(1, str(number))) for number in range(20)]
    await asyncio.sleep(0)
    assert await hashing.hash(2, "mine") == "enim"
    assert hasher.made.index("mine") <= 2
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 9
    assert await hashing.hash(1, "later") == "retal"


async def test_who_has_gone_keeps_nobody_waiting(hasher: Hasher) -> None:
    hashing = PasswordHashing()
    first, second, third = (asyncio.ensure_future(hashing.hash(1, name)) for name in ("one", "two", "three"))
    await asyncio.sleep(0)
    second.cancel()
    assert (await first, await third) == ("eno", "eerht")
    assert second.cancelled()
    assert hasher.made == ["one", "three"]


async def test_hashes_have_the_parameters_that_owasp_recommends_and_older_ones_stay_valid() -> None:
    made = await PasswordHashing().hash(1, "secret")
    parameters = extract_parameters(made)
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)
    assert parameters.type.name == "ID"
    assert passwords.HASHER.verify(PasswordHasher().hash("secret"), "secret")

"""A call of which it is not known whether it was placed, when its account has gone to another provider account."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from scfm.models.account import ACCOUNTS
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.providers.answers import RemoteCall
from scfm.providers.credentials import Credentials
from scfm.providers.errors import AccountRefused
from scfm.storage.store import Store
from tests.workers.background import SID, TOKEN, account, pass_over, queued_calls
from tests.workers.test_reconciler import NUMBER, SIDS, House, Silent, only

HERE: dict[str, Any] = {"twilio_account_sid": SID, "twilio_auth_token": TOKEN}
THERE: dict[str, Any] = {"twilio_account_sid": "AC" + "2" * 32, "twilio_auth_token": "another"}


class Left(Silent):
    """Only its account SID has calls; it may be ``closed``."""

    closed = False

    async def list_calls(self, credentials: Credentials, to: str, since: datetime) -> list[RemoteCall]:
        if credentials.account_sid != SID:
            return []
        if self.closed or credentials.auth_token != TOKEN:
            raise AccountRefused("Unable to fetch record: Authenticate")
        return await super().list_calls(credentials, to, since)


async def changes(store: Store, house: House, own: int, credentials: dict[str, Any]) -> None:
    await ACCOUNTS.update(Scope(store.all_tenants, Rules(), Client(own, 1)), own, credentials)
    house.jobs.accounts.forget()


async def left(store: Store, tmp_path: Path, provider: Left) -> House:
    """A call that has left for an account that is given up then."""
    house = House(store, tmp_path, provider)
    own = await account(store)
    await changes(store, house, own, HERE)
    await queued_calls(store, own, [NUMBER])
    assert await pass_over(house.jobs.dispatcher) == 1
    await changes(store, house, own, THERE)
    return house


async def test_the_provider_account_that_was_left_is_asked_too(store: Store, tmp_path: Path) -> None:
    house = await left(store, tmp_path, Left(SIDS[0]))
    await house.settles_when_due()
    call = await only(store)
    assert (call["status"], call["remote_call_id"]) == ("remotely_queued", SIDS[0])


async def test_where_that_cannot_be_asked_any_more_nothing_is_guessed(store: Store, tmp_path: Path) -> None:
    provider = Left(SIDS[0])
    provider.closed = True
    house = await left(store, tmp_path, provider)
    for _ in range(3):
        await house.settles_when_due()
    call = await only(store)
    assert call["status"] == "queued" and call["remote_error_message"].startswith("It is not known whether")


async def test_one_that_was_left_before_the_call_is_not_asked(store: Store, tmp_path: Path) -> None:
    house = House(store, tmp_path, Left(SIDS[0]))
    own = await account(store)
    await changes(store, house, own, HERE)
    await changes(store, house, own, THERE)
    await queued_calls(store, own, [NUMBER])
    assert await pass_over(house.jobs.dispatcher) == 1
    for _ in range(2):
        await house.settles_when_due()
    assert (await only(store))["status"] == "errored"
    assert house.provider.asked == []

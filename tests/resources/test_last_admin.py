"""Nobody changes a role of his own, and the last admin of an account stays, whatever comes at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from scfm.clock import now
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import Invalid
from scfm.models import references
from scfm.models import user as user_module
from scfm.models.account import ACCOUNTS
from scfm.models.declaration import initial_fields
from scfm.models.fields import Rules
from scfm.models.last_admin import ADMINS
from scfm.models.registry import counted_fields
from scfm.models.scope import Client as Asking
from scfm.models.scope import Scope
from scfm.models.user import USERS
from scfm.storage.query import Document
from scfm.storage.store import Store
from tests.conftest import DATABASE
from tests.server import Client, Server

ROUNDS = 8
LAST = {"errors": {"role": ["is that of the last admin"]}}
UNDELETABLE = {"errors": {"base": ["Cannot delete record because it is the last admin"]}}
OWN = {"errors": {"role": ["is your own"]}}

Change = Callable[[], Awaitable[object]]


def new_user(api: Client, role: str | None) -> str:
    """The path of a new user."""
    given = {"email": f"{uuid4()}@example.org", "password": "secret12", "role": role}
    return f"/api/users/{api.post('/api/users', json=given).json['id']}"


@pytest.mark.parametrize("role", ["admin", None])
def test_of_an_accounts_admins_the_last_can_be_neither_demoted_nor_deleted(api: Client, role: str | None) -> None:
    admin, viewer = new_user(api, role), new_user(api, "viewer")
    answer = api.patch(admin, json={"role": "approver"})
    assert (answer.status, answer.json, answer.hints) == (422, LAST, {"role": "make another user an admin first"})
    answer = api.delete(admin)
    assert (answer.status, answer.json) == (422, UNDELETABLE)
    assert api.patch(admin, json={"metadata": {"a": 1}, "role": "admin"}).status == 204
    assert api.patch(viewer, json={"role": None}).status == 204  # which is an admin
    assert api.patch(admin, json={"role": "operator"}).status == 204
    assert api.delete(viewer).json == UNDELETABLE
    assert api.delete(admin).status == 204


def test_the_only_user_may_go_who_was_never_given_a_role(api: Client) -> None:
    assert api.delete(new_user(api, None)).status == 204
    assert api.patch(new_user(api, None), json={"role": "viewer"}).status == 204


def test_the_only_user_stays_who_was_made_an_admin(api: Client) -> None:
    only = new_user(api, "admin")
    assert api.delete(only).json == UNDELETABLE
    assert api.patch(only, json={"role": "viewer"}).json == LAST


def test_a_super_admin_who_closes_an_account_deletes_its_last_admin(server: Server, api: Client) -> None:
    only, account = new_user(api, "admin"), api.get("/api/account").json["id"]
    assert server.client().delete(f"{only}?account_id={account}").status == 204


def test_the_admins_of_another_account_do_not_count(api: Client, stranger: Client) -> None:
    new_user(stranger, "admin")
    assert api.delete(new_user(api, "admin")).json == UNDELETABLE


def test_a_token_changes_the_role_of_others_and_not_its_own(server: Server, api: Client) -> None:
    mine, other = (api.post("/api/access_tokens").json for _ in range(2))
    me = server.client(mine["token"])
    path = f"/api/access_tokens/{mine['id']}"
    answer = me.patch(path, json={"role": "viewer", "metadata": {"a": 1}})
    assert (answer.status, answer.json, answer.hints) == (422, OWN, {"role": "another admin may change it"})
    assert me.patch(path, json={"role": "admin", "metadata": {"a": 1}}).status == 204  # as it was, said aloud
    assert me.patch(f"/api/access_tokens/{other['id']}", json={"role": "viewer"}).status == 204


class House:
    """An account with users, as two processes see it."""

    def __init__(self, views: list[Any]) -> None:
        self._views = views

    @classmethod
    @asynccontextmanager
    async def of(cls, store: Store, uri: str) -> AsyncIterator[House]:
        """A new account of STORE, which is at URI."""
        asking = Scope(store.all_tenants, Rules(), Asking(1, 1))
        account_id = (await ACCOUNTS.create(asking, {}))["_id"]
        other = Store.open(uri, DATABASE, counted_fields())
        try:
            yield cls([one.for_account(account_id) for one in (store, other)])
        finally:
            await other.close()

    def scope(self, process: int, user_id: int | None = None) -> Scope:
        view = self._views[process]
        return Scope(view, Rules(), Asking(view.account_id, 1, user_id=user_id))

    async def user(self, role: str | None) -> int:
        given = {"email": f"{uuid4()}@example.org", "role": role, "_version": 1}
        return int((await USERS.insert(self._views[0], {**initial_fields(USERS), **given}))["_id"])

    def demotion(self, process: int, user_id: int) -> Change:
        return partial(USERS.update, self.scope(process), user_id, {"role": "viewer"})

    def deletion(self, process: int, user_id: int) -> Change:
        return partial(references.delete, USERS, self.scope(process), user_id)

    async def admins(self) -> list[int]:
        return [user["_id"] for user in await self._views[0].find("users", ADMINS)]


async def test_a_user_does_not_change_his_own_role(store: Store, mongod: PrivateMongod) -> None:
    async with House.of(store, mongod.uri) as house:
        me, other = await house.user("admin"), await house.user("admin")
        with pytest.raises(Invalid) as refused:
            await USERS.update(house.scope(0, me), me, {"role": "operator"})
        assert refused.value.errors == OWN["errors"]
        await USERS.update(house.scope(0, me), other, {"role": "operator"})
        await USERS.update(house.scope(0, me), me, {"role": None})
        assert await house.admins() == [me]


@pytest.mark.parametrize("kinds", [("demotion", "demotion"), ("deletion", "deletion"), ("demotion", "deletion")])
async def test_two_admins_who_go_at_the_same_time_do_not_both_go(
    store: Store, mongod: PrivateMongod, kinds: tuple[str, str]
) -> None:
    async with House.of(store, mongod.uri) as house:
        for _ in range(ROUNDS):
            left_over = await house.admins()
            admins = [await house.user("admin") for _ in range(2)]
            for one in left_over:
                await house.demotion(0, one)()
            changes = [getattr(house, kind)(process, admins[process]) for process, kind in enumerate(kinds)]
            await asyncio.gather(*(change() for change in changes), return_exceptions=True)
            assert await house.admins(), kinds


async def test_a_demotion_that_stalls_longer_than_its_mark_holds_comes_to_nothing(
    store: Store, mongod: PrivateMongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House.of(store, mongod.uri) as house:
        slow, quick = await house.user("admin"), await house.user("admin")
        is_last_admin, stalled = user_module.is_last_admin, []

        async def stalls(view: Any, user: Document) -> bool:
            is_last = await is_last_admin(view, user)
            if not stalled:
                stalled.append(user["_id"])
                past = now() - timedelta(seconds=1)
                await store.all_tenants.update_one(
                    "users", {"_id": slow, "account_id": {"$gt": 0}}, {"$set": {"_deleting.until": past}}
                )
                await house.demotion(1, quick)()
            return is_last

        monkeypatch.setattr(user_module, "is_last_admin", stalls)
        with pytest.raises(Invalid) as refused:
            await house.demotion(0, slow)()
        assert refused.value.errors == LAST["errors"]
        assert (stalled, await house.admins()) == ([slow], [slow])

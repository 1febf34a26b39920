"""Auth tokens of accounts are sealed where they are stored, and used and shown as before; without a key they wait."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from scfm.errors import Unavailable
from scfm.models import stored_secrets
from scfm.models.account import ACCOUNTS, FORMER
from scfm.models.fields import Rules
from scfm.models.opt_out_digest import OptOutDigests
from scfm.models.platform import Platform
from scfm.models.registry import sealed_paths
from scfm.models.scope import Client as Asking
from scfm.models.scope import Scope
from scfm.models.stored_secrets import forget_secrets, seal_again, secrets_by_key
from scfm.providers.client import Provider
from scfm.providers.errors import AccountRefused
from scfm.runtime import secret_box
from scfm.runtime.secret_box import SecretBox, fingerprint, is_sealed, key_of, new_key
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.account_refusals import WAITS_UNREADABLE
from scfm.workers.seal_secrets import SealSecrets
from tests.resources.conftest import Documents
from tests.server import SECRET_KEY, Client, Server, wait_until
from tests.workers.background import SID, TOKEN, account, background, carrier, pass_over, queued_calls, settings_for

OLD, NEW = new_key(), new_key()
FIELDS = ("twilio_auth_token", "somleng_auth_token", "twilio_signing_key")
SEALED = sealed_paths()


def stored(database: Documents, api: Client) -> dict[str, Any]:
    found = database["accounts"].find_one({"_id": api.get("/api/account").json["id"]})
    assert found is not None
    return found


# What is stored, and what is shown.


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("token", ["0123456789abcdef", "short", "sealed:1:0123456789abcdef:gAAAAAB", "é⊕é⊕é⊕é⊕:"])
def test_a_token_is_stored_sealed_and_shown_as_before(
    api: Client, database: Documents, field: str, token: str
) -> None:
    assert api.patch("/api/account", json={field: token}).status == 204
    kept = stored(database, api)[field]
    assert is_sealed(kept) and token not in kept and SecretBox.of_keys(SECRET_KEY).unseal(kept) == token
    assert api.get("/api/account").json[field] == "*" * 8 + (token[-4:] if len(token) > 8 else "")


def test_the_same_token_again_changes_nothing_and_another_does(api: Client, database: Documents) -> None:
    path, given = "/api/account", {"twilio_account_sid": "AC1", "twilio_auth_token": "0123456789abcdef"}
    for _ in range(2):
        assert api.patch(path, json=given).status == 204
        kept = stored(database, api)
    assert kept["_version"] == 2 and FORMER not in kept
    assert api.patch(path, json={"metadata": {"a": 1}}).status == 204
    assert stored(database, api)["twilio_auth_token"] == kept["twilio_auth_token"]
    assert api.patch(path, json={"twilio_auth_token": "fedcba9876543210"}).status == 204
    (former,) = stored(database, api)[FORMER]
    assert former["token"] == kept["twilio_auth_token"]
    assert api.patch(path, json={"twilio_auth_token": None}).status == 204
    assert stored(database, api)["twilio_auth_token"] is None
    assert api.get(path).json["twilio_auth_token"] is None


def test_nowhere_in_the_database_is_a_token_in_the_clear(api: Client, database: Documents) -> None:
    secrets = [f"{field}-0123456789abcdef-{turn}" for field in FIELDS for turn in range(2)]
    for turn in range(2):
        given = {field: f"{field}-0123456789abcdef-{turn}" for field in FIELDS}
        api.patch("/api/account", json={**given, "twilio_account_sid": "AC2", "somleng_account_sid": "b"})
    api.patch("/api/account", json=given, headers={"Idempotency-Key": "once"})
    for name in database.list_collection_names():
        for document in database[name].find():
            assert not any(secret in str(document) for secret in secrets), name


# What was stored in the clear, and other keys.


def scope(store: Store, account_id: int, box: SecretBox | None) -> Scope:
    return Scope(store.all_tenants, Rules(secret_box=box), Asking(account_id, 1))


async def make_account(store: Store, box: SecretBox | None, number: int = 0) -> int:
    """An account with all that can be sealed, and one former token."""
    account_id = await account(store)
    for token in (f"former-{number}-0123456789", f"token-{number}-0123456789"):
        given = {**dict.fromkeys(FIELDS, token), "twilio_account_sid": "AC1", "somleng_account_sid": "b"}
        await ACCOUNTS.update(scope(store, account_id, box), account_id, given)
    return account_id


async def test_what_is_in_the_clear_is_read_and_sealed_in_the_background(store: Store) -> None:
    box = SecretBox.of_keys(NEW)
    sealed, clear = await make_account(store, SecretBox.of_keys(OLD)), await make_account(store, None, 1)
    assert await secrets_by_key(store, SEALED) == {fingerprint(OLD): 5, None: 5}
    before = await store.all_tenants.get("accounts", clear)
    assert Platform(Settings(), secret_box=box).credentials(before).auth_token == "token-1-0123456789"
    job = SealSecrets(store, SEALED, box)
    for item in await job.claim(1):
        await job.process(item)
    assert await secrets_by_key(store, SEALED) == {fingerprint(OLD): 5, fingerprint(NEW): 5}
    after = await store.all_tenants.get("accounts", clear)
    assert ACCOUNTS.show(after) == ACCOUNTS.show(before) and after["_version"] == before["_version"]
    assert Platform(Settings(), secret_box=box).credentials(after).auth_token == "token-1-0123456789"
    assert await job.claim(1) == [] and sealed != clear


async def test_all_are_sealed_with_the_newest_key_and_what_cannot_be_read_is_counted(store: Store) -> None:
    lost, both = SecretBox.of_keys(new_key()), SecretBox.of_keys(NEW, OLD)
    for number, box in enumerate((SecretBox.of_keys(OLD), None, lost)):
        await make_account(store, box, number)
    done = await seal_again(store, SEALED, both)
    assert (done.sealed, done.unreadable) == (10, {lost.primary: 5})
    assert await secrets_by_key(store, SEALED) == {both.primary: 10, lost.primary: 5}
    assert (await seal_again(store, SEALED, both)).sealed == 0
    assert (await seal_again(store, SEALED, SecretBox.of_keys(NEW, OLD))).unreadable == {lost.primary: 5}


async def test_a_token_that_is_changed_meanwhile_stays_as_it_was_set(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, both = await make_account(store, SecretBox.of_keys(OLD)), SecretBox.of_keys(NEW, OLD)
    view, read = store.all_tenants, stored_secrets._rows
    changed = {"twilio_auth_token": both.seal("changed"), "twilio_signing_key": None, FORMER: []}

    async def change_after_reading(*of: Any) -> AsyncGenerator[Any, None]:
        async for row in read(*of):
            await view.update_one("accounts", {"_id": row["_id"]}, {"$set": changed})
            yield row

    monkeypatch.setattr(stored_secrets, "_rows", change_after_reading)
    assert (await seal_again(store, SEALED, both)).sealed == 1
    kept = await view.get("accounts", account_id)
    assert {name: kept[name] for name in changed} == changed
    assert both.unseal(kept["somleng_auth_token"]) == "token-0-0123456789"


async def test_what_is_done_half_is_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await make_account(store, SecretBox.of_keys(OLD), number)
    both = SecretBox.of_keys(NEW, OLD)
    reseal, left = both.reseal, iter(range(7))

    def dying(text: str) -> str:
        if next(left, None) is None:
            raise Unavailable("the process ends here")
        return reseal(text)

    monkeypatch.setattr(both, "reseal", dying)
    with pytest.raises(Unavailable):
        await seal_again(store, SEALED, both)
    assert await secrets_by_key(store, SEALED) == {both.primary: 7, fingerprint(OLD): 8}
    monkeypatch.undo()
    assert (await seal_again(store, SEALED, both)).sealed == 8


async def test_the_secrets_of_a_lost_key_are_forgotten_and_no_others(store: Store) -> None:
    lost = await make_account(store, SecretBox.of_keys(OLD))
    kept = await make_account(store, SecretBox.of_keys(NEW))
    assert await forget_secrets(store, SEALED, fingerprint(OLD)) == {lost: 5}
    assert await secrets_by_key(store, SEALED) == {fingerprint(NEW): 5}
    empty = await store.all_tenants.get("accounts", lost)
    assert [empty[field] for field in FIELDS] == [None] * 3 and empty[FORMER] == []
    assert len((await store.all_tenants.get("accounts", kept))[FORMER]) == 2


# Without the key.


async def test_calls_of_an_account_whose_token_cannot_be_read_wait_and_others_leave(
    store: Store, tmp_path: Path
) -> None:
    own, other = await account(store), await account(store)
    sealed = SecretBox.of_keys(OLD).seal(TOKEN)
    change = {"twilio_account_sid": SID, "twilio_auth_token": sealed}
    await store.all_tenants.update_one("accounts", {"_id": own}, {"$set": change})
    await queued_calls(store, own, ["+252663000001", "+252663000002"])
    await queued_calls(store, other, ["+252663000003"])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == {"+252663000003": 1}
        waiting = await store.all_tenants.find("phone_calls", {"account_id": own})
        assert [call["status"] for call in waiting] == ["queued"] * 2
        told = next(str(call["remote_error_message"]) for call in waiting if call["remote_error_message"])
        assert fingerprint(OLD) in told and "add that key" in told and told.endswith(WAITS_UNREADABLE)
        assert sealed not in told


async def test_the_provider_is_not_asked_with_a_token_that_cannot_be_read(store: Store) -> None:
    account_id = await make_account(store, SecretBox.of_keys(OLD))
    found = await store.all_tenants.get("accounts", account_id)
    for box in (SecretBox.of_keys(NEW), None):
        credentials = Platform(Settings(), secret_box=box).credentials(found)
        assert (credentials.account_sid, credentials.auth_token) == ("AC1", "")
        provider = Provider(timeout=1)
        with pytest.raises(AccountRefused, match=fingerprint(OLD)) as refused:
            await provider.fetch_call(credentials, "CA1")
        assert refused.value.unreadable and not refused.value.missing
        await provider.close()


def test_a_webhook_for_a_token_that_cannot_be_read_is_refused_with_the_reason(
    settings: dict[str, str], database: Documents, api: Client, tmp_path: Path
) -> None:
    sealed = SecretBox.of_keys(OLD).seal("0123456789abcdef", "cdef")
    own = api.get("/api/account").json["id"]
    told = {"MONGODB_DATABASE": "unreadable"}
    with Server(tmp_path / "data", {**settings, **told}) as server:
        there = database.client["unreadable"]["accounts"]
        there.update_one({}, {"$set": {"twilio_account_sid": "AC1", "twilio_auth_token": sealed}})
        form = {"AccountSid": "AC1", "CallSid": "CA1", "CallStatus": "completed"}
        signed = {"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
        path = "/api/remote_phone_call_events"
        assert server.request("POST", path, form=form, headers=signed, token="").status == 403
        reason = f"account 1 has its AccountSid, but a stored secret is sealed with the key {fingerprint(OLD)}"
        wait_until(lambda: reason in server.output())
        client = server.client()
        assert client.get("/api/account").json["twilio_auth_token"] == "********cdef"
        assert client.patch("/api/account", json={"twilio_auth_token": "fedcba9876543210"}).status == 204
        assert key_of(there.find_one({})["twilio_auth_token"]) == fingerprint(SECRET_KEY)
    database.client.drop_database("unreadable")
    assert own


def test_a_token_is_decrypted_once_however_many_webhooks_and_calls_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    box = SecretBox.of_keys(NEW)
    platform, decrypted = Platform(Settings(), secret_box=box), []
    decrypt = secret_box.MultiFernet.decrypt
    monkeypatch.setattr(
        secret_box.MultiFernet, "decrypt", lambda one, token: decrypted.append(token) or decrypt(one, token)
    )
    sealed = {field: box.seal("0123456789abcdef") for field in FIELDS}
    found = {"settings": {}, "twilio_account_sid": "AC1", "somleng_account_sid": None, **sealed}
    for _ in range(100):
        assert platform.credentials(found).auth_token == "0123456789abcdef"
    assert len(decrypted) == 1


async def test_the_key_of_erased_opt_outs_is_sealed_anew_and_forgotten_with_its_key(store: Store) -> None:
    own = await account(store)
    before = await OptOutDigests(store, SecretBox.of_keys(OLD)).digests(own, ["+252662345678"])
    assert (await seal_again(store, SEALED, SecretBox.of_keys(NEW, OLD))).sealed == 1
    assert await OptOutDigests(store, SecretBox.of_keys(NEW)).digests(own, ["+252662345678"]) == before
    assert await forget_secrets(store, SEALED, fingerprint(NEW)) == {own: 1}
    after = await OptOutDigests(store, SecretBox.of_keys(OLD)).digests(own, ["+252662345678"])
    assert after.keys() == before.keys() and after != before

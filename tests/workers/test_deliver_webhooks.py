"""Endpoints are told of what happens: signed, again and again where they do not take it, by any process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from scfm.clock import iso, now
from scfm.endpoint_client.signature import endpoint_signature
from scfm.errors import SecretUnreadable
from scfm.models.opt_out import OPT_OUTS
from scfm.models.webhook_attempts import RETRY_DELAYS
from scfm.models.webhook_delivery import DELIVERY_COLLECTION, MAX_ATTEMPTS_KEPT, redeliver
from scfm.models.webhook_endpoint import WEBHOOK_ENDPOINTS, rotate_secret
from scfm.models.webhook_queue import ENDPOINT_COLLECTION, ENDPOINT_LEASE_TIME, FAILURES_TO_OPEN, MAX_FAILING
from scfm.runtime.secret_box import SecretBox, new_key
from scfm.storage.store import Store
from scfm.workers import deliver_webhooks
from scfm.workers.clock_repair import ClockRepair
from scfm.workers.clock_watch import ClockWatch
from scfm.workers.deliver_webhooks import MAX_REQUESTS_AT_ONCE, DeliverWebhooks
from scfm.workers.forget_old import ForgetOld
from tests.workers.background import account, settings_for
from tests.workers.owned_clock import Wall
from tests.workers.webhook_receiver import BOX, Got, Receiver, Teller, receiver, telling_process

NUMBER = "+252662345678"


async def opt_out(teller: Teller, number: int = 0) -> dict[str, Any]:
    """Something that happens: a number is opted out."""
    return await OPT_OUTS.create(teller.scope, {"msisdn": f"+25266234{number:04}"})


def verified(got: Got, secret: str) -> bool:
    """Whether one of the signatures of a request is by SECRET."""
    expected = endpoint_signature(secret, got.event_id, int(got.headers["webhook-timestamp"]), got.body)
    return expected in got.headers["webhook-signature"].split(" ")


async def test_an_event_is_told_as_standard_webhooks_has_it(store: Store) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        made = await opt_out(teller)
        await teller.both()
        (got,) = one.got
        assert got.event == {
            "type": "opt_out.created",
            "timestamp": iso(made["created_at"]),
            "data": OPT_OUTS.show(made),
        }
        assert got.path == "/hook"
        assert got.headers["Content-Type"] == "application/json"
        assert abs(int(got.headers["webhook-timestamp"]) - now().timestamp()) < 100
        assert got.headers["webhook-signature"].startswith("v1,") and verified(got, endpoint["secret"])
        (delivery,) = await teller.deliveries()
        assert (delivery["status"], delivery["webhook_id"]) == ("delivered", got.event_id)
        (attempt,) = delivery["attempts"]
        assert (attempt["response_code"], attempt["error"], attempt["answer"]) == (204, None, "")
        # Nothing more is to be done, and nothing is left of it elsewhere.
        await teller.both()
        assert (len(one.got), await teller.deliver()) == (1, 0)
        assert "_to_tell" not in (await store.all_tenants.find("opt_outs", {}))[0]
        assert "_due" not in await teller.stored_endpoint(endpoint["id"])


async def test_the_secret_is_sealed_where_it_is_stored(store: Store) -> None:
    async with telling_process(store) as teller:
        endpoint = await teller.endpoint("https://example.org/")
        stored = await teller.stored_endpoint(endpoint["id"])
        assert endpoint["secret"].startswith("whsec_")
        assert endpoint["secret"] not in repr(stored) and BOX.unseal(stored["_secret"]) == endpoint["secret"]
        assert WEBHOOK_ENDPOINTS.show({**stored})["secret"] is None


async def test_what_an_endpoint_does_not_take_is_tried_at_the_times_of_the_table(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as teller:
        await teller.endpoint(one.url)
        one.status, one.body = 500, b"out of order"
        await opt_out(teller)
        await teller.both()
        for tries, delay in enumerate(RETRY_DELAYS, 1):
            (delivery,) = await teller.deliveries()
            assert (delivery["status"], len(delivery["attempts"])) == ("pending", tries)
            at = delivery["next_attempt_at"]
            assert at is not None
            assert delay <= (at - delivery["updated_at"]).total_seconds() <= delay * 1.1
            assert len(one.got) == tries
            wall.set(at - now() - timedelta(seconds=1))
            await teller.deliver()
            assert len(one.got) == tries, "before its time"
            wall.set(timedelta(seconds=2))
            await teller.deliver()
        (delivery,) = await teller.deliveries()
        assert (delivery["status"], delivery["next_attempt_at"]) == ("failed", None)
        assert {(one["response_code"], one["error"], one["answer"]) for one in delivery["attempts"]} == {
            (500, "answered 500", "out of order")
        }
        assert len(one.got) == len(RETRY_DELAYS) + 1
        # All have the same name, and each a signature of its own time.
        assert {got.event_id for got in one.got} == {delivery["webhook_id"]}
        assert len({got.headers["webhook-signature"] for got in one.got}) == len(one.got)
        wall.set(timedelta(days=2))
        assert await teller.deliver() == 0


@pytest.mark.parametrize(
    ("status", "header", "least"),
    [(503, "120", 120), (429, "7", 7), (429, "2", 5), (500, "60", 60), (503, "nonsense", 5), (503, "999999", 86400)],
)
async def test_an_answer_may_ask_to_wait(store: Store, status: int, header: str, least: float) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        one.status, one.headers = status, {"Retry-After": header}
        await opt_out(teller)
        await teller.both()
        (delivery,) = await teller.deliveries()
        assert delivery["next_attempt_at"] is not None
        waits = (delivery["next_attempt_at"] - delivery["updated_at"]).total_seconds()
        assert least <= waits <= max(least, 5) * 1.1
        # All that waits for the endpoint waits with it, where the answer is about the endpoint.
        until = (await teller.stored_endpoint(endpoint["id"])).get("_open_until")
        assert (until is not None) == (status in (429, 503) and header.isdecimal())
        await opt_out(teller, 1)
        await teller.both()
        assert len(one.got) == (1 if until else 2)


async def test_an_endpoint_that_is_gone_is_disabled(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        one.status = 410
        await opt_out(teller)
        await teller.both()
        stored = await teller.stored_endpoint(endpoint["id"])
        assert (stored["status"], stored["disabled_reason"]) == ("disabled", "answered 410 (Gone)")
        assert f"webhook endpoint {endpoint['id']} of account {teller.account_id} is disabled" in caplog.text
        # Nothing is kept for it, and nothing sent to it.
        await opt_out(teller, 1)
        await teller.both()
        assert [delivery["status"] for delivery in await teller.deliveries()] == ["failed"]
        assert len(one.got) == 1
        # Enabled again it is told of what happens from then on.
        one.status = 200
        await WEBHOOK_ENDPOINTS.update(teller.scope, endpoint["id"], {"status": "enabled"})
        assert (await teller.stored_endpoint(endpoint["id"]))["disabled_reason"] is None
        await opt_out(teller, 2)
        await teller.both()
        assert len(one.got) == 2


async def test_what_waited_for_a_disabled_endpoint_is_sent_when_it_is_enabled(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        one.status = 500
        await opt_out(teller)
        await teller.both()
        await WEBHOOK_ENDPOINTS.update(teller.scope, endpoint["id"], {"status": "disabled"})
        assert (await teller.stored_endpoint(endpoint["id"]))["disabled_reason"] == "was disabled by a client"
        one.status = 200
        wall.set(timedelta(hours=1))
        assert (await teller.deliver(), len(one.got)) == (0, 1)
        await WEBHOOK_ENDPOINTS.update(teller.scope, endpoint["id"], {"status": "enabled"})
        await teller.deliver()
        assert [delivery["status"] for delivery in await teller.deliveries()] == ["delivered"]


async def test_an_endpoint_that_does_nothing_but_fail_for_days_is_disabled(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        one.status = 503
        await opt_out(teller)
        await teller.both()
        wall.set(MAX_FAILING - timedelta(minutes=1))
        # One success in between, and it begins anew.
        one.status = 200
        await teller.deliver()
        one.status = 503
        await opt_out(teller, 1)
        await teller.both()
        wall.set(MAX_FAILING - timedelta(minutes=1))
        await teller.deliver()
        assert (await teller.stored_endpoint(endpoint["id"]))["status"] == "enabled"
        wall.set(timedelta(minutes=10))
        await teller.deliver()
        stored = await teller.stored_endpoint(endpoint["id"])
        assert stored["status"] == "disabled"
        assert str(stored["disabled_reason"]).startswith("nothing but failures since 20")


async def test_an_endpoint_that_fails_is_left_alone_and_then_tried_by_single_requests(
    store: Store, wall: Wall
) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        one.status = 500
        for number in range(20):
            await opt_out(teller, number)
        await teller.both()
        # One round of some at once, and then nobody until the breaker lets one through.
        assert MAX_REQUESTS_AT_ONCE >= FAILURES_TO_OPEN
        assert len(one.got) == MAX_REQUESTS_AT_ONCE
        assert await teller.deliver() == 0
        for probes in range(1, 4):
            wall.set(timedelta(seconds=61))
            await teller.deliver()
            assert len(one.got) == MAX_REQUESTS_AT_ONCE + probes
        # None of those that waited has used up its attempts.
        tries = [len(delivery["attempts"]) for delivery in await teller.deliveries()]
        assert (sum(tries), max(tries)) == (len(one.got), 1)
        one.status = 200
        wall.set(timedelta(minutes=2))
        await teller.deliver()
        assert {delivery["status"] for delivery in await teller.deliveries()} == {"delivered"}
        stored = await teller.stored_endpoint(endpoint["id"])
        assert (stored["_failures"], stored["_failing_since"], stored["_open_until"]) == (0, None, None)


async def test_one_endpoint_does_not_keep_another_from_its_own(store: Store) -> None:
    async with receiver() as slow, receiver() as quick, telling_process(store) as teller:
        released = asyncio.Event()

        async def answer(got: Got) -> web.StreamResponse:
            await released.wait()
            return web.Response()

        slow.answering = answer
        await teller.endpoint(slow.url)
        await teller.endpoint(quick.url)
        for number in range(30):
            await opt_out(teller, number)
        await teller.tell()
        delivering = asyncio.create_task(teller.deliver())
        while len(quick.got) < 30:
            await asyncio.sleep(0.001)
        assert slow.at_once <= MAX_REQUESTS_AT_ONCE
        released.set()
        await delivering
        assert (len(slow.got), slow.most_at_once) == (30, MAX_REQUESTS_AT_ONCE)


async def test_an_endpoint_gives_others_their_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver_webhooks, "TURN_SECONDS", 0.0)
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        await opt_out(teller)
        await teller.both()
        assert one.got == []
        stored = await teller.stored_endpoint(endpoint["id"])
        assert stored["_due"] <= now() and "_lease" not in stored
        monkeypatch.undo()
        await teller.deliver()
        assert len(one.got) == 1


async def test_an_endpoint_with_old_deliveries_waits_behind_those_that_wait_already(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver_webhooks, "TURN_SECONDS", 0.0)
    async with receiver() as one, telling_process(store) as teller:
        slow = await teller.endpoint(one.url)
        await opt_out(teller)
        await teller.tell()
        other = await teller.endpoint(one.url)
        await opt_out(teller, 2)
        await teller.tell()
        waits_since = (await teller.stored_endpoint(other["id"]))["_due"]
        (taken,) = await teller.deliverer.claim(1)
        assert taken["_id"] == slow["id"]
        await teller.deliverer.process(taken)
        assert (await teller.stored_endpoint(slow["id"]))["_due"] >= waits_since
        (next_one,) = await teller.deliverer.claim(1)
        assert next_one["_id"] == other["id"]


async def test_two_processes_send_each_event_once(store: Store) -> None:
    owner = await account(store)
    async with receiver() as one, telling_process(store, owner) as first, telling_process(store, owner) as second:
        for _ in range(3):
            await first.endpoint(one.url)
        for number in range(20):
            await opt_out(first, number)
        await asyncio.gather(first.tell(), second.tell())
        assert len(await first.deliveries()) == 60
        await asyncio.gather(*(process.deliver() for process in (first, second, first, second)))
        await first.deliver()
        assert len(one.got) == 60
        assert len({got.event_id for got in one.got}) == 20


async def test_a_process_that_dies_has_its_endpoint_taken_by_another(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as first:
        await first.endpoint(one.url)
        await opt_out(first)
        await first.tell()
        (taken,) = await first.deliverer.claim(1)
        async with telling_process(store, first.account_id) as second:
            assert await second.deliver() == 0
            wall.set(ENDPOINT_LEASE_TIME + timedelta(seconds=1))
            assert await second.deliver() == 1
            # The first has only slept: it finds that nothing is left, and that the endpoint is not its own.
            await first.deliverer.process(taken)
            assert len(one.got) == 1
            assert [delivery["status"] for delivery in await first.deliveries()] == ["delivered"]


async def test_what_comes_while_an_endpoint_is_told_is_not_forgotten(store: Store) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        await opt_out(teller)
        await teller.tell()
        (item,) = await teller.deliverer.claim(1)
        find = teller.view.__class__.find

        async def finding(view: Any, collection: str, *args: Any, **options: Any) -> Any:
            found = await find(view, collection, *args, **options)
            if collection == DELIVERY_COLLECTION and not found:  # it has just looked when the next one is due
                monkeypatch.undo()
                await opt_out(teller, 1)
                await teller.tell()
            return found

        monkeypatch = pytest.MonkeyPatch()
        monkeypatch.setattr(teller.view.__class__, "find", finding)
        await teller.deliverer.process(item)
        monkeypatch.undo()
        assert (await teller.stored_endpoint(endpoint["id"]))["_due"] <= now()
        await teller.deliver()
        assert len(one.got) == 2


async def test_a_former_secret_signs_beside_the_new_one_for_a_day(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        keys = [endpoint["secret"]]

        async def told(number: int) -> list[bool]:
            await opt_out(teller, number)
            await teller.both()
            assert len(one.got[-1].headers["webhook-signature"].split(" ")) == sum(
                verified(one.got[-1], secret) for secret in keys
            )
            return [verified(one.got[-1], secret) for secret in keys]

        keys.append((await rotate_secret(teller.scope, endpoint["id"], BOX))["secret"])
        assert (len({*keys}), await told(1)) == (2, [True, True])
        wall.set(timedelta(hours=23))
        assert await told(2) == [True, True]
        keys.append((await rotate_secret(teller.scope, endpoint["id"], BOX))["secret"])
        assert await told(3) == [True, True, True]
        wall.set(timedelta(hours=2))
        assert await told(4) == [False, True, True]
        wall.set(timedelta(hours=24))
        assert await told(5) == [False, False, True]


async def test_a_missing_key_keeps_deliveries_waiting_and_uses_up_no_attempt(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as teller:
        await teller.endpoint(one.url)
        await opt_out(teller)
        await teller.tell()
        without = DeliverWebhooks(store, teller.client, SecretBox.of_keys(new_key()), teller.deliverer._pause)
        (item,) = await without.claim(1)
        with pytest.raises(SecretUnreadable):
            await without.process(item)
        assert [len(delivery["attempts"]) for delivery in await teller.deliveries()] == [0]
        wall.set(ENDPOINT_LEASE_TIME + timedelta(seconds=1))
        await teller.deliver()
        assert len(one.got) == 1


async def test_an_endpoint_whose_secret_was_forgotten_is_disabled_until_it_has_another(store: Store) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        await teller.view.update_many(ENDPOINT_COLLECTION, {}, {"$unset": {"_secret": ""}})
        await opt_out(teller)
        await teller.both()
        stored = await teller.stored_endpoint(endpoint["id"])
        assert (stored["status"], one.got) == ("disabled", [])
        assert str(stored["disabled_reason"]).startswith("has no secret")
        secret = (await rotate_secret(teller.scope, endpoint["id"], BOX))["secret"]
        await WEBHOOK_ENDPOINTS.update(teller.scope, endpoint["id"], {"status": "enabled"})
        await teller.deliver()
        assert verified(one.got[0], secret)


async def test_a_delivery_is_sent_again_when_a_client_asks(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        await opt_out(teller)
        await teller.both()
        (delivery,) = await teller.deliveries()
        again = await redeliver(teller.scope, endpoint["id"], delivery["_id"])
        assert (again["status"], len(again["attempts"])) == ("pending", 1)
        one.status = 500
        await teller.deliver()
        one.status = 200
        wall.set(timedelta(seconds=6))
        await teller.deliver()
        (delivery,) = await teller.deliveries()
        assert [attempt["response_code"] for attempt in delivery["attempts"]] == [204, 500, 200]
        assert delivery["status"] == "delivered"
        assert {got.event_id for got in one.got} == {delivery["webhook_id"]}
        assert {got.body for got in one.got} == {one.got[0].body}


async def test_no_more_than_the_last_attempts_are_kept(store: Store) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        await opt_out(teller)
        await teller.both()
        (delivery,) = await teller.deliveries()
        for _ in range(MAX_ATTEMPTS_KEPT + 3):
            await redeliver(teller.scope, endpoint["id"], delivery["_id"])
            await teller.deliver()
        assert len((await teller.deliveries())[0]["attempts"]) == MAX_ATTEMPTS_KEPT


async def test_deliveries_are_forgotten_after_some_days(store: Store, wall: Wall) -> None:
    async with receiver() as one, telling_process(store) as teller:
        await teller.endpoint(one.url)
        await opt_out(teller)
        await teller.both()
        wall.set(timedelta(days=20))
        await opt_out(teller, 1)
        await teller.both()
        kept: list[int] = []
        for days in (9, 2):
            wall.set(timedelta(days=days))
            await ForgetOld(store, 0, 30).process(None)
            kept.append(len(await teller.deliveries()))
        assert kept == [2, 1]


async def test_a_clock_that_was_set_back_keeps_nothing_waiting(store: Store, wall: Wall, tmp_path: Path) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        one.status, one.headers = 503, {"Retry-After": "100"}
        await opt_out(teller)
        wall.set(timedelta(days=365))
        await teller.both()
        await opt_out(teller, 1)
        await teller.tell()
        await teller.view.update_many(ENDPOINT_COLLECTION, {}, {"$set": {"_open_until": None}})
        await teller.deliverer.claim(1)  # by a process that dies
        await teller.view.update_many(ENDPOINT_COLLECTION, {}, {"$set": {"_open_until": now()}})
        wall.set(-timedelta(days=365))
        one.status = 200
        assert (await teller.deliver(), len(one.got)) == (0, 1)
        repair = ClockRepair(store, ClockWatch(), settings_for("http://127.0.0.1:9", tmp_path), lambda: None)
        await repair.claim(1)
        await teller.deliver()
        assert [delivery["status"] for delivery in await teller.deliveries()] == ["delivered"] * 2
        stored = await teller.stored_endpoint(endpoint["id"])
        assert "_due" not in stored and "_lease" not in stored


async def told_while(teller: Teller, one: Receiver, change: Callable[[], Awaitable[object]]) -> None:
    """Carry CHANGE out while a request is under way."""
    asked, released = asyncio.Event(), asyncio.Event()

    async def answer(got: Got) -> web.StreamResponse:
        asked.set()
        await released.wait()
        return web.Response(status=one.status)

    one.answering = answer
    await teller.tell()
    delivering = asyncio.create_task(teller.deliver())
    await asked.wait()
    await change()
    released.set()
    await delivering


async def test_an_endpoint_may_be_disabled_and_deleted_while_it_is_told(store: Store) -> None:
    async with receiver() as one, telling_process(store) as teller:
        endpoint = await teller.endpoint(one.url)
        one.status = 500
        await opt_out(teller)
        await told_while(
            teller, one, lambda: WEBHOOK_ENDPOINTS.update(teller.scope, endpoint["id"], {"status": "disabled"})
        )
        stored = await teller.stored_endpoint(endpoint["id"])
        assert (stored["status"], stored["disabled_reason"]) == ("disabled", "was disabled by a client")
        await WEBHOOK_ENDPOINTS.update(teller.scope, endpoint["id"], {"status": "enabled"})
        await opt_out(teller, 1)
        await told_while(teller, one, lambda: teller.view.remove(ENDPOINT_COLLECTION, {"_id": endpoint["id"]}))
        assert await teller.view.find(ENDPOINT_COLLECTION, {}) == []
        assert await teller.deliver() == 0

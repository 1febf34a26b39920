"""A page that is too large for memory is the same as any other, and is put together in a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scfm.errors import BadRequest, Overloaded
from scfm.handlers import large_answers as module
from scfm.handlers.large_answers import LargeAnswers
from scfm.storage.database import MAX_AT_ONCE
from tests.server import Answer, Client

# What the server of these tests takes at once.
VALUE = "x" * 45_000
COUNT = MAX_AT_ONCE // 90_000 + 3


@pytest.fixture
def callout(api: Client) -> int:
    """A callout of an account whose contacts, all of which take part, are more than is read at once."""
    number = int(api.post("/api/callouts", {"metadata[a]": "b"}).json["id"])
    for member in range(COUNT):
        given = {"msisdn": f"+2526623{member:05}", "metadata": {"$a.b": VALUE, "long": VALUE}}
        contact = api.post("/api/contacts", json=given)
        assert contact.status == 201
        taking_part = api.post(f"/api/callouts/{number}/callout_participations", {"contact_id": contact.json["id"]})
        assert taking_part.status == 201
    return number


def one_by_one(api: Client, path: str) -> list[Any]:
    return [api.get(f"{path}?per_page=1&page={number}").json[0] for number in range(1, COUNT + 1)]


def test_a_large_page_has_what_small_ones_have(api: Client, callout: int) -> None:
    for path in ("/api/contacts", f"/api/callouts/{callout}/contacts"):
        expected = one_by_one(api, path)
        listed = api.get(f"{path}?per_page=1000")
        assert listed.json == expected, path
        assert (listed.headers["Total"], listed.headers["Per-Page"]) == (str(COUNT), "1000")
        second = api.get(f"{path}?per_page={COUNT - 1}")
        assert second.json == expected[:-1]
        assert 'rel="next"' in second.headers["Link"]


def test_a_viewer_sees_of_numbers_on_a_large_page_what_it_sees_on_small_ones(api: Client, callout: int) -> None:
    viewer = api.server.client(api.post("/api/access_tokens", json={"role": "viewer"}).json["token"])
    listed = viewer.get("/api/contacts?per_page=1000").json
    assert listed == one_by_one(viewer, "/api/contacts")
    assert {contact["msisdn"][:-3] for contact in listed} == {"+•••••••••"}


def test_a_large_page_has_the_headers_of_any_answer(api: Client, callout: int) -> None:
    path = "/api/contacts?per_page=1000"
    listed, small = api.get(path), api.get("/api/contacts?per_page=1")
    assert set(listed.headers) == set(small.headers) - {"Link"}
    assert listed.headers["Cache-Control"] == small.headers["Cache-Control"]
    head = api.head(path)
    assert (head.status, head.json, length(head)) == (200, None, length(listed))
    assert head.headers["ETag"] == listed.headers["ETag"] == api.get(path).headers["ETag"]
    unchanged = api.get(path, headers={"If-None-Match": listed.headers["ETag"]})
    assert (unchanged.status, unchanged.json) == (304, None)
    api.patch("/api/contacts/" + str(listed.json[0]["id"]), {"metadata[new]": "1"})
    assert api.get(path, headers={"If-None-Match": listed.headers["ETag"]}).status == 200


def length(answer: Answer) -> int:
    return int(answer.headers["Content-Length"])


async def parts(count: int, ready: asyncio.Event | None = None) -> AsyncGenerator[bytes]:
    for _ in range(count):
        if ready is not None:
            await ready.wait()
        yield b"x" * 1000


def nobody() -> None:
    raise AssertionError("an answer has been cut off")


async def taken(answers: LargeAnswers, given: AsyncGenerator[bytes]) -> int:
    async with answers.collected(given, nobody) as answer:
        return sum([len(part) async for part in answer.parts()])


async def test_large_answers_are_put_together_one_after_the_other(tmp_path: Path) -> None:
    answers, ready = LargeAnswers(tmp_path), asyncio.Event()
    first = asyncio.ensure_future(taken(answers, parts(1000, ready)))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(taken(answers, parts(10)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done()
    ready.set()
    assert (await first, await second) == (1_000_000, 10_000)
    assert list(tmp_path.iterdir()) == []


async def test_what_large_answers_take_of_the_disk_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1_000_000)
    answers = LargeAnswers(tmp_path)
    with pytest.raises(BadRequest, match="per_page"):
        await taken(answers, parts(1001))
    async with answers.collected(parts(600), nobody):
        second = asyncio.ensure_future(taken(answers, parts(600)))
        while answers._held <= 600_000:  # until it has begun
            await asyncio.sleep(0)
        assert not second.done()
    assert await second == 600_000


async def test_an_answer_that_has_been_sent_for_long_makes_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1_000_000)
    answers, cut_off = LargeAnswers(tmp_path), asyncio.Event()
    async with answers.collected(parts(600), cut_off.set) as first, answers.collected(parts(300), nobody) as second:
        monkeypatch.setattr(module, "MIN_SEND_SECONDS", 0.0)
        assert await taken(answers, parts(600)) == 600_000
        assert cut_off.is_set()
        assert [len(part) async for part in first.parts()] == []
        assert sum([len(part) async for part in second.parts()]) == 300_000
    assert answers._held == 0


async def test_who_would_wait_too_long_for_others_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, never = LargeAnswers(tmp_path), asyncio.Event()
    first = asyncio.ensure_future(taken(answers, parts(1, never)))
    while not answers._turn.locked():
        await asyncio.sleep(0)
    monkeypatch.setattr(module, "MAX_ANSWER_WAIT_SECONDS", 0.01)
    with pytest.raises(Overloaded):
        await taken(answers, parts(1))
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    assert await taken(answers, parts(1)) == 1000


async def test_a_disk_that_is_full_is_no_failure_of_ours(tmp_path: Path) -> None:
    with pytest.raises(Overloaded, match="cannot be put into a file"):
        await taken(LargeAnswers(tmp_path / "gone"), parts(1))

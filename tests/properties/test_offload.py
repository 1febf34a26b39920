"""What may take long is computed in a thread: the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from scfm.models.contact import CONTACTS
from scfm.runtime.offload import MAX_INLINE, offload, offload_long


async def test_the_event_loop_goes_on_while_something_large_is_computed() -> None:
    begun, loop_went_on = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert loop_went_on.wait(30)
        return threading.current_thread().name

    result = asyncio.create_task(offload(MAX_INLINE + 1, work))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    loop_went_on.set()
    assert (await result).startswith("offload")


async def test_what_is_short_does_not_wait_for_what_is_long() -> None:
    short_is_done = threading.Event()
    long = asyncio.create_task(offload_long(lambda: short_is_done.wait(30)))
    await offload(MAX_INLINE + 1, short_is_done.set)
    assert await long


async def test_something_small_is_computed_at_once() -> None:
    assert await offload(MAX_INLINE, threading.current_thread) is threading.current_thread()


@pytest.mark.parametrize("size", [0, MAX_INLINE + 1])
async def test_what_it_raises_is_raised(size: int) -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        await offload(size, work)


def test_no_single_step_of_a_filter_is_long() -> None:
    """Combining marks are put in order in a time that grows with the square of their number: long texts are left."""
    marks = "a" + "\u0301\u0323" * 5_000
    (condition,) = CONTACTS.query({"metadata": {marks: f" {marks}"}}).where
    texts = set(strings(condition))
    assert {text for text in texts if "\u0323" in text} == {f"metadata.{marks}", f" {marks}", marks}


def strings(value: Any) -> Iterator[str]:
    """Every name and text inside a condition."""
    if isinstance(value, str):
        yield value
    for inner in (
        (*value.keys(), *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from strings(inner)

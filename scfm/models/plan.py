"""Plans: what a callout is to do by itself, as the schema ``plan`` has it.

A callout keeps its plan as the client gave it, with its defaults; ``Plan.of`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, cast

import orjson

from scfm.models.plan_window import PlanWindow
from scfm.schemas import schema
from scfm.storage.query import Document

MAX_PRIORITY = 9
# That of a phone call without a plan, too.
DEFAULT_PRIORITY = 5
# How many plans are kept as they were read.
MAX_CACHED_PLANS = 256

AnsweringMachine = Literal["play", "hang_up", "retry"]


@dataclass(frozen=True)
class Retry:
    """How often a person is called, and for which reasons again.

    ``delays``: seconds after the end of the first attempt, the second, …; the last one repeats. ``on``: what an
    attempt must have come to, of ``busy not_answered failed errored not_acknowledged``.
    """

    max_attempts: int
    delays: Sequence[int]
    on: frozenset[str]

    def delay_after(self, attempt: int) -> timedelta:
        """How long after the end of an attempt, by its ordinal from 1, the next one may leave."""
        return timedelta(seconds=self.delays[min(attempt, len(self.delays)) - 1])


@dataclass(frozen=True)
class Emergency:
    """Why a plan goes over its window and over opt-outs."""

    reason: str
    severity: Literal["minor", "moderate", "severe", "extreme"]


@dataclass(frozen=True)
class Plan:
    """A plan with its defaults; what it holds is shared, and not to be changed.

    ``audience`` and ``remote_request_params`` are JSON; ``calls_per_second`` and ``calls_in_flight`` are None where
    the plan sets no limit; moments are in UTC.
    """

    audience: Document
    remote_request_params: Document
    retry: Retry
    window: PlanWindow | None
    starts_at: datetime | None
    not_after: datetime | None
    priority: int
    calls_per_second: float | None
    calls_in_flight: int | None
    answering_machine: AnsweringMachine
    acknowledge: bool
    inline_twiml: bool
    emergency: Emergency | None

    @staticmethod
    def of(callout: Mapping[str, Any]) -> Plan | None:
        """The plan of a callout's document, None where it has none."""
        plan = callout.get("plan")
        return None if plan is None else _read(orjson.dumps(plan))

    def may_leave(self, moment: datetime) -> bool:
        """Whether an attempt may leave at MOMENT, by ``starts_at``, ``not_after`` and the window."""
        return self.next_moment(moment) == moment

    def next_moment(self, moment: datetime) -> datetime | None:
        """The first moment from MOMENT on at which an attempt may leave; None if there is none before ``not_after``.

        An emergency goes over the window.
        """
        found: datetime | None = moment if self.starts_at is None else max(moment, self.starts_at)
        if self.window is not None and self.emergency is None and found is not None:
            found = self.window.next_opening(found)
        return None if found is None or self.is_over(found) else found

    def is_over(self, moment: datetime) -> bool:
        """Whether MOMENT is after ``not_after``: no attempt leaves any more."""
        return self.not_after is not None and moment > self.not_after


@lru_cache(maxsize=MAX_CACHED_PLANS)
def _read(written: bytes) -> Plan:
    plan = with_defaults(orjson.loads(written))
    retry, window, emergency = plan["retry"], plan["window"], plan["emergency"]
    return Plan(
        audience=plan["audience"],
        remote_request_params=plan["remote_request_params"],
        retry=Retry(retry["max_attempts"], tuple(retry["delays"]), frozenset(retry["on"])),
        window=None if window is None else PlanWindow.of(window),
        starts_at=as_moment(plan["starts_at"]),
        not_after=as_moment(plan["not_after"]),
        priority=plan["priority"],
        calls_per_second=plan["calls_per_second"],
        calls_in_flight=plan["calls_in_flight"],
        answering_machine=plan["answering_machine"],
        acknowledge=plan["acknowledge"],
        inline_twiml=plan["inline_twiml"],
        emergency=None if emergency is None else Emergency(emergency["reason"], emergency["severity"]),
    )


def with_defaults(plan: Document) -> Document:
    """PLAN, which fits its schema, with each default that the schema has, in the schema's order."""
    return cast(Document, _completed(plan, schema("plan")))


def _completed(value: Any, described: Mapping[str, Any]) -> Any:
    """VALUE with the defaults of the properties that a schema describes, and of theirs."""
    properties: Mapping[str, Mapping[str, Any]] = described.get("properties", {})
    if not isinstance(value, dict) or not properties:
        return value
    return {
        name: _completed(value[name] if name in value else deepcopy(one["default"]), one)
        for name, one in properties.items()
        if name in value or "default" in one
    }


def as_moment(written: str | None) -> datetime | None:
    """The moment that RFC 3339 names, in UTC; None for None. Raises ValueError and OverflowError."""
    return None if written is None else datetime.fromisoformat(written.upper()).astimezone(UTC)

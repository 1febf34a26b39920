"""Plans and moments as tests write them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scfm.models.plan import Plan, with_defaults


def plan_of(**given: Any) -> Plan:
    plan = Plan.of({"plan": with_defaults({"audience": {}, **given})})
    assert plan is not None
    return plan


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)

"""On PYTHONPATH of a server that counts nothing: what metrics cost is the difference. For ``benchmarks.observed``."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Gauge, Histogram


def _nothing(*_: Any, **__: Any) -> None:
    pass


for kind, verbs in ((Counter, ("inc",)), (Gauge, ("inc", "dec", "set")), (Histogram, ("observe",))):
    for verb in verbs:
        setattr(kind, verb, _nothing)

"""A batch operation as it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

Skipped = Mapping[str, int]
"""By reason, how many documents a run has left out: ``metadata.skipped`` shows it."""


class OperationWork(TypedDict, total=False):
    """What the background knows of an operation that is queued or runs; it is never shown.

    ``due``: from when on any process may claim it. ``holder``: which claim was the last, and ``log``, the id of the
    send journal of its process. ``tries``: how often a run has failed.

    How far the run is: ``cursor``, the last id that was acted on; ``left``, how many may still be acted on, None for
    all; ``pinned``, the ids that are acted on now, where there is a limit; ``skipped``, how many were left out.
    """

    due: datetime
    holder: str
    log: str | None
    tries: int
    cursor: int
    left: int | None
    pinned: list[int]
    skipped: dict[str, int]


class Operation(TypedDict):
    """The fields of a batch operation that its type and its run read."""

    _id: int
    account_id: int
    callout_id: int | None
    type: str
    status: str
    parameters: dict[str, object]
    metadata: dict[str, object]
    _work: OperationWork

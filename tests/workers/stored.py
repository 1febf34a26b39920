"""What MongoDB has of a document, with words in place of what differs from run to run."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

Stored = dict[str, Any]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
# What the jobs put off is put off by an hour in these tests, and what is due now is due within a minute.
SOON = timedelta(minutes=10)
PATTERNS = {
    re.compile(r"\bCA[0-9a-f]{32}\b"): "<call sid>",
    re.compile(r"\bAC[0-9a-f]{32}\b"): "<account sid>",
    re.compile(r"\b[0-9a-f]{16,64}\b"): "<token>",
    re.compile(r"127\.0\.0\.1:[0-9]+"): "<host>",
}
MARK = "_settle"
ANSWERS = ("remote_response", "remote_queue_response")


def in_words(value: Any, name: str = "") -> Any:
    """The value of the field NAME, as JSON."""
    words: Any = value
    if name in ANSWERS and value:
        words = f"<the carrier's answer: {value['status']}>"
    elif isinstance(value, dict):
        words = {one: in_words(value[one], one) for one in value}
    elif isinstance(value, list):
        words = [in_words(one, name) for one in value]
    elif isinstance(value, datetime):
        words = _moment(value)
    elif name == "log" and value is not None:
        words = "<log>"
    elif name == MARK:
        words = "<mark>"
    elif isinstance(value, str):
        for pattern, word in PATTERNS.items():
            words = pattern.sub(word, words)
    elif isinstance(value, int) and (name == "_id" or name.endswith("_id")):
        words = "<id>"
    else:
        assert value is None or isinstance(value, (bool, int, float)), (name, value)
    return words


def _moment(value: datetime) -> str:
    moment = datetime.now(UTC)
    if value == LONG_AGO:
        return "<as it was>"
    if value > moment + SOON:
        return "<later>"
    return "<now>" if value > moment - SOON else "<past>"


def change(before: Stored | None, after: Stored | None) -> Stored:
    """What a step has changed in a document: the fields that it has set, and ``gone``, those that it has removed."""
    if before is None or after is None:
        return {"deleted": True} if after is None else after
    gone = sorted(before.keys() - after.keys())
    changed = {name: value for name, value in after.items() if name not in before or before[name] != value}
    return {**changed, **({"gone": gone} if gone else {})}

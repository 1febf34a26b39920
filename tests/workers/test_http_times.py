"""Times in the answers of other HTTP services."""

from __future__ import annotations

from datetime import UTC, datetime

from scfm.runtime.http_times import retry_after_seconds

MOMENT = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)


def test_retry_after_may_be_a_date() -> None:
    assert retry_after_seconds("Mon, 30 Nov 2026 07:01:30 GMT", MOMENT, 86400) == 90
    assert retry_after_seconds("2026-11-30T07:01:30Z", MOMENT, 86400) == 90
    assert retry_after_seconds("Mon, 30 Nov 2026 06:00:00 GMT", MOMENT, 86400) == 0
    assert retry_after_seconds("Wed, 30 Nov 2033 06:00:00 GMT", MOMENT, 86400) == 86400
    malformed = (None, "", "soon", "-5", "1e9", f"Mon, 30 Nov 2026 07:01:30 +{'9' * 20}", f"Mon, 30 Nov {'9' * 20}")
    assert [retry_after_seconds(one, MOMENT, 86400) for one in malformed] == [None] * len(malformed)


def test_retry_after_may_be_a_number_of_seconds() -> None:
    assert retry_after_seconds("120", MOMENT, 3600) == 120
    assert retry_after_seconds("9" * 400, MOMENT, 3600) == 3600

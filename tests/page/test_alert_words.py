"""What the page of an alert says: of where it stands, and of the health of what it needs."""

from __future__ import annotations

from typing import Any

from tests.page.alerts import (
    OUTCOMES,
)
from tests.page.browsing import Page
from tests.page.modules import from_module

PEOPLE = dict.fromkeys(OUTCOMES, 0)
PLANNED: dict[str, Any] = {"window": {"time_zone": "Asia/Phnom_Penh"}, "starts_at": "2100-01-01T00:00:00Z"}
GOING = {**PEOPLE, "total": 12_000, "reached": 8_412, "pending": 2_900, "calling": 50, "unreached": 638}
OVER = {**PEOPLE, "total": 10, "reached": 7, "unreached": 3}
LATER, TOLD_LATER = "2100-01-01T19:40:00.000Z", "Jan 2, 2100, 02:40 (Phnom Penh)"
# The callout, the people, what else the statistics are, and how the sentence begins.
SENTENCES: list[tuple[dict[str, Any], dict[str, int], dict[str, Any], str]] = [
    (
        {"status": "initialized"},
        PEOPLE,
        {},
        f"Not started · 5 people to call · done about {TOLD_LATER}, if started now",
    ),
    ({"status": "initialized", "plan": None}, PEOPLE, {}, "Not started, and it has no plan · 0 people in it"),
    ({"approval": {"status": "submitted"}}, PEOPLE, {}, "Waiting for approval · 5 people to call"),
    ({"approval": {"status": "rejected"}}, PEOPLE, {}, "Not approved · 5 people to call"),
    ({"status": "running"}, PEOPLE, {}, "Starting"),
    (
        {"status": "running"},
        GOING,
        {"expected_end_at": LATER},
        f"8,412 of 12,000 reached · 2,950 being tried · 638 will not be reached · done about {TOLD_LATER}",
    ),
    (
        {"status": "running"},
        GOING,
        {"limited_by": "window of the plan"},
        f"Waiting for the calling hours, from {TOLD_LATER} · 8,412 of 12,000 reached · 2,950 being tried",
    ),
    (
        {"status": "running"},
        GOING,
        {"limited_by": "starts_at of the plan"},
        "Starts at Jan 1, 2100, 07:00 (Phnom Penh) · 8,412 of 12,000 reached",
    ),
    ({"status": "running"}, GOING, {"limited_by": "retry of the plan"}, f"Waiting to call again, from {TOLD_LATER}"),
    (
        {"status": "running"},
        GOING,
        {"provider": "held"},
        "All calls are held · 8,412 of 12,000 reached · 30 ringing or talking · 2,920 wait",
    ),
    ({"status": "running"}, GOING, {"provider": "failing"}, "The provider does not answer · 8,412 of 12,000 reached"),
    ({"status": "running"}, GOING, {"provider": "refusing"}, "The provider refuses this account · 8,412 of 12,000"),
    ({"status": "paused"}, GOING, {}, "Paused · 8,412 of 12,000 reached · 30 ringing or talking · 2,920 wait"),
    ({"status": "stopped"}, GOING, {}, "Stopped · 8,412 of 12,000 reached · 30 ringing or talking · 2,920 wait"),
    (
        {"status": "completed"},
        OVER,
        {"completed_at": LATER},
        f"Completed · 7 of 10 reached · 3 not reached · ended {TOLD_LATER}",
    ),
    # The statistics know first.
    ({"status": "running"}, OVER, {"completed_at": LATER}, "Completed · 7 of 10 reached"),
    # Whoever is unknown, or may still be called, is not in what is completed.
    (
        {"status": "completed"},
        {**OVER, "total": 12, "unknown": 2},
        {"completed_at": LATER},
        "All calls have been made, not everybody’s result is known · 7 of 12 reached · 2 unknown, may",
    ),
    (
        {"status": "completed"},
        {**OVER, "total": 11, "waiting": 1},
        {"completed_at": LATER},
        "Ending · 7 of 11 reached · 1 waits",
    ),
]


def test_one_sentence_says_where_an_alert_stands(page: Page) -> None:
    for callout, people, more, told in SENTENCES:
        known = {
            "callout": {"status": "initialized", "plan": PLANNED, "metadata": {}, "approval": None, **callout},
            "statistics": {
                "people": {"total": 0, **people},
                "health": {"provider": more.get("provider", "ok")},
                # Of those who are being called 20 wait for their turn in the queue.
                "calls": {"queued": 20, "remotely_queued": 10, "in_progress": 20, "remote_fetch_queued": 0},
                **dict.fromkeys(("limited_by", "completed_at", "expected_end_at")),
                **more,
            },
            "preflight": {"audience": 5, "ends_at": LATER},
            "next": LATER,
        }
        said = from_module(page, "views/alert/sentence.js", "module.sentence(given)", known)
        assert said.startswith(told)


def test_what_is_silent_while_calls_are_in_the_air_is_told(page: Page) -> None:
    health = {"provider": "ok", "provider_last_at": "2100-01-01T00:00:00Z", "webhook_last_at": "2100-01-01T00:00:00Z"}
    calls = dict.fromkeys(("queued", "remotely_queued", "remote_fetch_queued", "in_progress"), 0)

    def states(seconds: int, link: str = "live", database: str = "ok", **changes: Any) -> list[str]:
        """Of the provider, the webhooks and the database, so many seconds after the last event of the former two."""
        flying = {**calls, "queued": 1, "in_progress": 1} if changes.pop("flying", True) else calls
        statistics = {"health": {**health, **changes}, "calls": flying, "first_attempt_at": "2100-01-01T00:00:00Z"}
        known = {
            "alert": {"statistics": statistics, "database": database, "link": link, "reachable": True},
            "seconds": seconds,
        }
        at = "Date.parse('2100-01-01T00:00:00Z') + 1000 * given.seconds"
        call = f"Object.values(module.statesOf(given.alert, new Date({at} - 1000).toISOString(), {at}))"
        found: list[str] = from_module(page, "views/alert/health.js", call, known)
        return found

    assert states(3) == ["ok", "ok", "ok"]
    assert states(100) == ["silent", "silent", "ok"]
    assert states(100, webhook_last_at=None) == ["silent", "silent", "ok"], "none has come since the first call"
    assert states(100, flying=False) == ["ok", "ok", "ok"]
    assert states(3, provider="refusing") == ["refusing", "ok", "ok"]
    assert states(3, database="failing")[2] == "failing"
    assert states(3, link="lost")[2] == "lost"


def test_the_list_calls_nothing_completed_while_somebody_is_unknown(page: Page) -> None:
    def told(status: str, people: dict[str, int] | None) -> Any:
        return from_module(page, "views/alerts.js", "module.statusOf(given)", {"status": status, "people": people})

    assert told("completed", OVER) == "completed"
    assert told("completed", None) == "completed"
    assert told("completed", {**OVER, "total": 12, "unknown": 2}) == "unclear"
    assert told("stopped", {**OVER, "total": 12, "unknown": 2}) == "stopped"


def test_what_is_not_all_is_not_a_hundred_percent(page: Page) -> None:
    told = [
        from_module(page, "lib/text.js", "module.percent(given)", share) for share in (0, 1 / 3, 19_999 / 20_000, 1)
    ]
    assert told == ["0%", "33.3%", "99.9%", "100%"]


def test_lists_are_refreshed_at_once_when_no_further_figure_would_do_it(page: Page) -> None:
    def turn(status: str, people: dict[str, int], in_the_air: int = 0) -> str:
        calls = {"queued": 0, "remotely_queued": in_the_air, "in_progress": 0, "remote_fetch_queued": 0}
        known = {
            "callout": {"status": status, "plan": PLANNED, "metadata": {}},
            "statistics": {"people": people, "calls": calls, "health": {"provider": "ok"}, "limited_by": None},
        }
        return str(from_module(page, "views/alert/phase.js", "module.turnOf(given)", known))

    further = {**GOING, "reached": 8_413, "calling": 49}
    assert turn("running", GOING, 50) == turn("running", further, 49)
    assert turn("running", GOING, 50) != turn("stopped", GOING, 50)
    assert turn("stopped", GOING) != turn("stopped", further)


def test_those_who_are_called_again_are_counted_by_the_figures(page: Page) -> None:
    statistics = {
        "people": {**OVER, "unreached": 9, "unknown": 2},
        "reasons": {"busy": 4, "invalid_number": 3, "failed": 2, "opted_out": 5},
    }

    def whom(total: int = 0, **choice: str) -> Any:
        given = [{"outcome": "unreached", "reason": "", "value": "", **choice}, statistics, total]
        return from_module(page, "views/alert/call_again.js", "module.whomOf(...given)", given)

    assert whom() == {"count": 6, "invalid": 3}
    assert whom(reason="busy") == {"count": 4, "invalid": 0}
    assert whom(reason="invalid_number") == {"count": 3, "invalid": 0}
    assert whom(outcome="unknown") == {"count": 2, "invalid": 0}
    assert whom(7, value="Sok Dara") == {"count": 7, "invalid": 0}


def test_an_alert_that_calls_again_has_a_name_of_its_own(page: Page) -> None:
    name, names = "Flood", []
    for _ in range(3):
        name = from_module(page, "views/alert/call_again.js", "module.nameAgain(given)", name)
        names.append(name)
    assert names == ["Flood, again", "Flood, again (2)", "Flood, again (3)"]


def test_when_phones_ring_is_said_as_the_preflight_has_it(page: Page) -> None:
    def said(first: str, *warnings: str, blockers: tuple[str, ...] = ()) -> Any:
        preflight = {"first_attempt_at": first, "ends_at": LATER, "warnings": warnings, "blockers": blockers}
        call = (
            "module.foretold({...given, first_attempt_at: given.first_attempt_at || new Date().toISOString()}, 'UTC')"
        )
        return from_module(page, "views/new-alert/forecast.js", call, preflight)

    ends = "It ends about Jan 1, 2100, 19:40 (UTC)."
    assert said("") == ["Phones ring at once.", ends]
    assert said("2100-01-01T00:00:00Z") == ["The first phone rings at Jan 1, 2100, 00:00 (UTC).", ends]
    assert said("", "the calls of the account are held: none leaves until they are released") == [ends]
    assert said("", blockers=("the audience is empty",)) == [ends]

"""Every transition of a phone call: its condition and update, byte for byte; and that the diagram has them all."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import bson
import pytest

from scfm import clock
from scfm.models import (
    call_cancellations,
    call_checks,
    call_hang_up,
    call_lifecycle,
    call_placement,
    call_reports,
    call_restoration,
    call_work,
    outcome,
)
from scfm.models.call_lifecycle import AT_PROVIDER, CALL_STATUSES, FINAL, UNDER_WAY, CallStatus, Transition
from scfm.models.call_reports import reported_status
from scfm.models.ended_calls import outcome_of

OF_CALLS = (call_lifecycle, call_cancellations, call_hang_up, call_placement, call_checks, call_reports)
MODULES = (*OF_CALLS, call_restoration)
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
Pair = tuple[dict[str, Any], dict[str, Any]]

NOW = datetime(2018, 5, 19, 6, 49, 24, 294000, UTC)
SOON, FAR = NOW + timedelta(seconds=20), NOW + timedelta(hours=1)
ATTEMPTED = NOW - timedelta(seconds=9)
# The mark that something has happened that may change the person's outcome: of many calls, and of one.
CHANCE = 5
MARK_OF_MANY = {"_settle": (int(NOW.timestamp() * 1000) << 20 | CHANCE) << 1}
MARK = {"_settle": MARK_OF_MANY["_settle"] | 1}
ATTEMPT = {"id": "f00d", "at": ATTEMPTED, "log": "boot.1"}
WORK = {"lease": SOON, "attempt": ATTEMPT, "tries": 2}
CALL: dict[str, Any] = {
    "_id": 7,
    "account_id": 1,
    "status": "queued",
    "msisdn": "+855125550001",
    "remote_call_id": None,
    "remote_status": None,
    "remote_error_message": None,
    "_work": WORK,
}
CALL_AT_PROVIDER = {
    **CALL,
    "status": "remotely_queued",
    "remote_call_id": "CA1",
    "remote_status": "queued",
    "_check": SOON,
}
TO_BE_FETCHED = {**CALL, "status": "remote_fetch_queued", "_fetch_from": "in_progress"}
ANSWERED = {"sid": "CA1", "status": "completed", "answered_by": "human", "duration": "31"}
RESPONSE = {"sid": "CA1", "direction": "outbound-api", "status": "queued"}
FOLLOWS = {"contact_id": 3, "msisdn": {"$in": ["+855125550001"]}, "_number": None}

THERE = {"$exists": True}
# A call that is still claimed by the attempt with which it was read; and one that a report has moved on since.
CLAIMED = {"account_id": 1, "_id": 7, "status": "queued", "_work.attempt.id": "f00d"}
MOVED_ON = {"account_id": 1, "_id": 7, "status": {"$ne": "queued"}, "_work.attempt.id": "f00d"}
LEASED = {"account_id": 1, "_id": 7, "_work.lease": SOON}
UNCLAIMED = {**FOLLOWS, "status": {"$in": ["created", "queued"]}, "_work.lease": None}
NO_WORK = {"_work": ""}
DUE_NOW = {"$set": {"_work": {"due": NOW}}}
CANCELED = {
    "$set": {"status": "canceled", "_canceled_for": "stopped", "updated_at": NOW, **MARK_OF_MANY},
    "$unset": NO_WORK,
}
CANCELED_AS_OPTED_OUT = {
    "$set": {
        "status": "canceled",
        "remote_error_message": "opted out",
        "_canceled_for": "opted_out",
        "updated_at": NOW,
        **MARK_OF_MANY,
    },
    "$unset": NO_WORK,
}
CANCELED_AS_WANTED = {
    "$set": {"status": "canceled", "updated_at": NOW, **MARK_OF_MANY},
    "$unset": {**NO_WORK, "_hang_up": ""},
}
TO_END = {**CALL_AT_PROVIDER, "_hang_up": {"due": SOON, "tries": 1}}
HANGING_UP = {"account_id": 1, "_id": 7, "_hang_up.due": SOON}
WISH = {"_hang_up": {"due": NOW, "tries": 0}}
TAKEN = "Not called: the contact's number is +855125550002 now, which another participation has"
CANCELED_AS_TAKEN = {
    "$set": {
        "status": "canceled",
        "remote_error_message": TAKEN,
        "_canceled_for": "renumbered",
        "updated_at": NOW,
        **MARK_OF_MANY,
    },
    "$unset": NO_WORK,
}
UNKNOWN = "It is not known whether this call was placed; the provider is being asked. "
ANSWER = {
    "remote_call_id": "CA1",
    "remote_direction": "outbound-api",
    "remote_queue_response": RESPONSE,
    "remotely_queued_at": NOW,
    "updated_at": NOW,
    **MARK,
    "_check": SOON,
}
PLACED = {"$set": {"remotely_queued_at": ATTEMPTED, "updated_at": NOW, **MARK, "_check": SOON}, "$unset": NO_WORK}
LATE, TOO_FAR = NOW + timedelta(seconds=3), FAR


def errored(words: str, **told: Any) -> dict[str, Any]:
    change = {
        "status": "errored",
        "remote_error_message": words,
        "remotely_queued_at": NOW,
        "updated_at": NOW,
        "_ended": NOW,
        **told,
        **MARK,
    }
    return {"$set": change, "$unset": NO_WORK}


def fetched(**change: Any) -> Pair:
    return {"account_id": 1, "_id": 7, "status": "remote_fetch_queued"}, {
        "$set": {**change, **MARK},
        "$unset": {"_work": "", "_fetch_from": ""},
    }


def of_report(call: dict[str, Any], **details: str) -> Transition | None:
    return call_reports.report(call, reported_status(details))


UNDER_WAY_STATUSES = ["queued", "remotely_queued", "remote_fetch_queued", "in_progress"]
FINAL_STATUSES = ["errored", "failed", "busy", "not_answered", "canceled", "completed"]

# By name: what is called, and the condition and update, or several, that it gives.
PINNED: dict[str, list[tuple[Callable[[], Any], Pair | list[Pair]]]] = {
    "doubt_restored": [
        (
            lambda: call_restoration.doubt_restored(1, FAR),
            (
                {"account_id": 1, "_work.lease": THERE, "_work.attempt": THERE},
                {"$set": {"_work.attempt.log": None, "_work.lease": FAR}},
            ),
        )
    ],
    "check_restored": [
        (
            lambda: call_restoration.check_restored(1, FAR),
            (
                {
                    "account_id": 1,
                    "status": {"$in": ["remotely_queued", "in_progress", "remote_fetch_queued"]},
                    "remote_call_id": {"$ne": None},
                },
                {"$set": {"_check": FAR}},
            ),
        )
    ],
    "hold_restored": [
        (
            lambda: call_restoration.hold_restored(1, [4, 5]),
            (
                {"account_id": 1, "status": "queued", "_work.due": THERE, "callout_id": {"$in": [4, 5]}},
                {"$set": {"_work": {"held": True}}},
            ),
        )
    ],
    "queue": [
        (
            lambda: call_lifecycle.queue(CALL, {"_rank": 4}),
            (
                {"account_id": 1, "_id": 7, "status": "created"},
                {"$set": {"status": "queued", "_work": {"due": NOW}, "_rank": 4, "updated_at": NOW, **MARK}},
            ),
        )
    ],
    "queue_many": [
        (
            lambda: call_lifecycle.queue_many([7, 8], 5, {"_rank": 4}),
            (
                {"_id": {"$in": [7, 8]}, "status": "created"},
                {
                    "$set": {
                        "status": "queued",
                        "queue_batch_operation_id": 5,
                        "updated_at": NOW,
                        "_work": {"due": NOW},
                        "_rank": 4,
                        **MARK_OF_MANY,
                    }
                },
            ),
        )
    ],
    "queue_remote_fetch": [
        (
            lambda: call_lifecycle.queue_remote_fetch({**CALL, "status": "in_progress"}),
            (
                {"account_id": 1, "_id": 7, "status": "in_progress"},
                {
                    "$set": {
                        "status": "remote_fetch_queued",
                        "_fetch_from": "in_progress",
                        "_work": {"due": NOW},
                        "updated_at": NOW,
                        **MARK,
                    }
                },
            ),
        )
    ],
    "queue_remote_fetch_many": [
        (
            lambda: call_lifecycle.queue_remote_fetch_many([7, 8], 5),
            [
                (
                    {"_id": {"$in": [7, 8]}, "status": status, "remote_call_id": {"$ne": None}},
                    {
                        "$set": {
                            "status": "remote_fetch_queued",
                            "queue_remote_fetch_batch_operation_id": 5,
                            "updated_at": NOW,
                            "_work": {"due": NOW},
                            **MARK_OF_MANY,
                            "_fetch_from": status,
                        }
                    },
                )
                for status in ("remotely_queued", "in_progress")
            ],
        )
    ],
    "claim": [
        (
            lambda: call_lifecycle.claim([7], "queued", NOW, SOON, ATTEMPT),  # type: ignore[arg-type]
            (
                {"_id": {"$in": [7]}, "status": "queued", "_work.due": {"$lte": NOW}},
                {"$set": {"_work.lease": SOON, "_work.attempt": ATTEMPT}, "$unset": {"_work.due": ""}},
            ),
        ),
        (
            lambda: call_lifecycle.claim([7], "remote_fetch_queued", NOW, SOON, None),
            (
                {"_id": {"$in": [7]}, "status": "remote_fetch_queued", "_work.due": {"$lte": NOW}},
                {"$set": {"_work.lease": SOON}, "$unset": {"_work.due": ""}},
            ),
        ),
    ],
    "hold": [(lambda: call_lifecycle.hold(CALL), (CLAIMED, {"$set": {"_work": {"held": True}}}))],
    "hold_callout": [
        (
            lambda: call_lifecycle.hold_callout(1, 4),
            (
                {"account_id": 1, "callout_id": 4, "status": "queued", "_work.due": THERE},
                {"$set": {"_work": {"held": True}}},
            ),
        )
    ],
    "release_callout": [
        (
            lambda: call_lifecycle.release_callout(1, 4),
            ({"account_id": 1, "_work.held": True, "callout_id": 4, "status": "queued"}, DUE_NOW),
        )
    ],
    "cancel": [(lambda: call_cancellations.cancel(CALL), (CLAIMED, CANCELED))],
    "cancel_callout": [
        (
            lambda: call_cancellations.cancel_callout(1, 4),
            (
                {
                    "account_id": 1,
                    "callout_id": 4,
                    "status": "queued",
                    "$or": [{"_work.due": THERE}, {"_work.held": True}],
                },
                CANCELED,
            ),
        )
    ],
    "cancel_shut": [
        (
            partial(call_cancellations.cancel_shut, CALL, too_late=too_late),
            (
                CLAIMED,
                {
                    **CANCELED_AS_OPTED_OUT,
                    "$set": {
                        **CANCELED_AS_OPTED_OUT["$set"],
                        "remote_error_message": f"not called: {words}",
                        "_canceled_for": reason,
                    },
                },
            ),
        )
        for too_late, reason, words in (
            (False, "not_now", "the plan lets no call leave at this time"),
            (True, "too_late", "not_after of the plan has passed"),
        )
    ],
    "cancel_opted_out": [(lambda: call_cancellations.cancel_opted_out(CALL), (CLAIMED, CANCELED_AS_OPTED_OUT))],
    "cancel_opted_out_many": [
        (
            lambda: call_cancellations.cancel_opted_out_many([3, 4], "+855125550001"),
            (
                {
                    "callout_participation_id": {"$in": [3, 4]},
                    "msisdn": "+855125550001",
                    "status": "queued",
                    "_work.lease": None,
                },
                CANCELED_AS_OPTED_OUT,
            ),
        )
    ],
    "cancel_erased_many": [
        (
            lambda: call_cancellations.cancel_erased_many({"contact_id": 4}),
            (
                {"contact_id": 4, "status": {"$in": ["created", "queued"]}, "_work.lease": None},
                {
                    **CANCELED_AS_OPTED_OUT,
                    "$set": {
                        **CANCELED_AS_OPTED_OUT["$set"],
                        "remote_error_message": "not called: the person's data are erased",
                    },
                },
            ),
        )
    ],
    "cancel_wanted": [
        (
            lambda: call_cancellations.cancel_wanted(CALL),
            (
                {"account_id": 1, "_id": 7, "status": {"$in": ["created", "queued"]}, "_work.lease": None},
                CANCELED_AS_WANTED,
            ),
        )
    ],
    "cancel_wanted_claimed": [
        (lambda: call_cancellations.cancel_wanted_claimed(CALL), (CLAIMED, CANCELED_AS_WANTED))
    ],
    "want_end": [
        (
            lambda: call_hang_up.want_end(CALL_AT_PROVIDER),
            (
                {"account_id": 1, "_id": 7, "status": "remotely_queued"},
                {"$set": {**WISH, "_canceled_for": "request", "updated_at": NOW}},
            ),
        )
    ],
    "want_end_of_callout": [
        (
            lambda: call_hang_up.want_end_of_callout(1, 4),
            (
                {"account_id": 1, "callout_id": 4, "status": {"$in": UNDER_WAY_STATUSES}, "_hang_up": None},
                {"$set": {**WISH, "_canceled_for": "stopped"}},
            ),
        )
    ],
    "want_end_of_account": [
        (
            lambda: call_hang_up.want_end_of_account(1),
            (
                {
                    "account_id": 1,
                    "status": {"$in": ["remotely_queued", "in_progress", "remote_fetch_queued"]},
                    "remote_direction": {"$ne": "inbound"},
                    "_hang_up": None,
                },
                {"$set": {**WISH, "_canceled_for": "stopped"}},
            ),
        )
    ],
    "claim_hang_up": [
        (
            lambda: call_hang_up.claim_hang_up(CALL, NOW, SOON),
            ({"account_id": 1, "_id": 7, "_hang_up.due": {"$lte": NOW}}, {"$set": {"_hang_up.due": SOON}}),
        )
    ],
    "hang_up_later": [
        (
            lambda: call_hang_up.hang_up_later(TO_END, FAR, None),
            (HANGING_UP, {"$set": {"_hang_up": {"due": FAR, "tries": 2}}}),
        ),
        (
            lambda: call_hang_up.hang_up_later(TO_END, FAR, "no"),
            (
                HANGING_UP,
                {"$set": {"_hang_up": {"due": FAR, "tries": 2}, "remote_error_message": "no", "updated_at": NOW}},
            ),
        ),
    ],
    "hung_up": [
        (
            lambda: call_hang_up.hung_up(TO_END, FAR),
            (HANGING_UP, {"$set": {"_check": FAR, "_hang_up": {"asked": NOW}}}),
        )
    ],
    "has_ended": [(lambda: call_hang_up.has_ended(TO_END), (HANGING_UP, {"$unset": {"_hang_up": ""}}))],
    "renumber": [
        (
            lambda: call_lifecycle.renumber(CALL, "+855125550002"),
            (
                CLAIMED,
                {"$set": {"msisdn": "+855125550002", "updated_at": NOW, "_work": {"due": NOW, "tries": 2}}},
            ),
        )
    ],
    "cancel_renumbered": [
        (lambda: call_cancellations.cancel_renumbered(CALL, "+855125550002"), (CLAIMED, CANCELED_AS_TAKEN))
    ],
    "renumber_many": [
        (
            lambda: call_lifecycle.renumber_many(FOLLOWS, [7, 8], "+855125550002"),
            (
                {**UNCLAIMED, "_id": {"$in": [7, 8]}},
                {"$set": {"msisdn": "+855125550002", "updated_at": NOW}, "$inc": {"_version": 1}},
            ),
        )
    ],
    "cancel_renumbered_many": [
        (
            lambda: call_cancellations.cancel_renumbered_many(FOLLOWS, [7, 8], "+855125550002"),
            ({**UNCLAIMED, "_id": {"$in": [7, 8]}}, {**CANCELED_AS_TAKEN, "$inc": {"_version": 1}}),
        )
    ],
    "requeue": [
        (
            lambda: call_lifecycle.requeue(CALL, 20, 3, {"remote_error_message": "busy"}),
            (
                CLAIMED,
                {
                    "$set": {
                        "remote_error_message": "busy",
                        "_work": {"due": SOON, "tries": 3},
                        "updated_at": NOW,
                    }
                },
            ),
        )
    ],
    "requeue_unheard": [
        (
            lambda: call_lifecycle.requeue_unheard("f00d"),
            ({"status": "queued", "_work.lease": THERE, "_work.attempt.id": "f00d"}, DUE_NOW),
        )
    ],
    "explain_waiting": [
        (
            lambda: call_lifecycle.explain_waiting(1, {"remote_error_message": "refused"}),
            (
                {"account_id": 1, "status": "queued", "_work.due": THERE, "remote_error_message": None},
                {"$set": {"remote_error_message": "refused", "updated_at": NOW}},
            ),
        )
    ],
    "try_now": [
        (
            lambda: call_lifecycle.try_now(1),
            ({"account_id": 1, "status": "queued", "_work.due": {"$gt": NOW}}, {"$set": {"_work.due": NOW}}),
        )
    ],
    "accept": [
        (
            lambda: call_placement.accept(CALL, RESPONSE, SOON),
            [
                (
                    CLAIMED,
                    {
                        "$set": {
                            **ANSWER,
                            "status": "remotely_queued",
                            "remote_status": "queued",
                            "remote_error_message": None,
                        },
                        "$unset": NO_WORK,
                    },
                ),
                (MOVED_ON, {"$set": ANSWER, "$unset": NO_WORK}),
            ],
        )
    ],
    "reject": [
        (lambda: call_placement.reject(CALL, "no"), (CLAIMED, errored("no"))),
        (
            lambda: call_placement.reject(CALL, "no", 21215),
            (CLAIMED, errored("no", error_code="21215", _refusal="forbidden")),
        ),
    ],
    "mark_unknown": [
        (
            lambda: call_placement.mark_unknown(CALL, "lost", FAR, SOON),
            [
                (
                    CLAIMED,
                    {
                        "$set": {
                            "remote_error_message": f"{UNKNOWN}lost",
                            "_work.lease": FAR,
                            "_work.reason": "lost",
                            "updated_at": NOW,
                        }
                    },
                ),
                (MOVED_ON, PLACED),
            ],
        )
    ],
    "take_over": [
        (
            lambda: call_placement.take_over(CALL, "boot.1", may_have_left=False, grace=20),
            (
                {"_work.lease": THERE, "_work.attempt.log": "boot.1", "account_id": 1, "_id": 7, "status": "queued"},
                DUE_NOW,
            ),
        ),
        (
            lambda: call_placement.take_over(CALL, "boot.1", may_have_left=True, grace=20),
            (
                {"_work.lease": THERE, "_work.attempt.log": "boot.1", "account_id": 1, "_id": 7, "status": "queued"},
                {"$set": {"_work.attempt.log": None, "_work.lease": SOON}},
            ),
        ),
        (
            lambda: call_placement.take_over(
                {**CALL, "status": "in_progress"}, "boot.1", may_have_left=False, grace=20
            ),
            (
                {
                    "_work.lease": THERE,
                    "_work.attempt.log": "boot.1",
                    "account_id": 1,
                    "_id": 7,
                    "status": "in_progress",
                },
                {"$set": {"_work.attempt.log": None, "_work.lease": NOW}},
            ),
        ),
    ],
    "claim_expired": [
        (
            lambda: call_placement.claim_expired(CALL, NOW, SOON),
            (
                {"account_id": 1, "_id": 7, "_work.lease": {"$lt": NOW}},
                {"$set": {"_work.lease": SOON, "_work.settling": True}},
            ),
        )
    ],
    "requeue_unsent": [(lambda: call_placement.requeue_unsent(CALL), (CLAIMED, DUE_NOW))],
    "settle_later": [(lambda: call_placement.settle_later(CALL, FAR), (CLAIMED, {"$set": {"_work.lease": FAR}}))],
    "mark_unlisted": [
        (
            lambda: call_placement.mark_unlisted(CALL, "lost", FAR),
            (
                CLAIMED,
                {
                    "$set": {
                        "_work.asked": 1,
                        "_work.lease": FAR,
                        "remote_error_message": f"{UNKNOWN}lost",
                        "updated_at": NOW,
                    }
                },
            ),
        )
    ],
    "reject_unlisted": [
        (
            lambda: call_placement.reject_unlisted(CALL, "lost"),
            ({**CLAIMED, "remote_call_id": None}, errored("lost")),
        )
    ],
    "mark_unanswered": [
        (
            lambda: call_placement.mark_unanswered(CALL, "503", FAR),
            (
                CLAIMED,
                {
                    "$set": {
                        "_work.lease": FAR,
                        "remote_error_message": f"{UNKNOWN}503",
                        "updated_at": NOW,
                    }
                },
            ),
        )
    ],
    "settle_again": [
        (
            lambda: call_placement.settle_again(CALL, 3, FAR),
            (LEASED, {"$set": {"_work.failures": 3, "_work.lease": FAR}}),
        )
    ],
    "give_up_settling": [
        (
            lambda: call_placement.give_up_settling(CALL, "may have rung"),
            ({**LEASED, "status": "queued"}, errored("may have rung", _may_have_rung=True)),
        )
    ],
    "give_up_unanswered": [
        (
            lambda: call_placement.give_up_unanswered(CALL, "may have rung"),
            (CLAIMED, errored("may have rung", _may_have_rung=True)),
        )
    ],
    "finish": [
        (lambda: call_placement.finish(CALL, SOON), (LEASED, PLACED)),
        (
            lambda: call_placement.finish({**CALL, "_work": {"lease": SOON}}, SOON),
            (LEASED, {"$unset": NO_WORK}),
        ),
    ],
    "requeue_remote_fetch": [
        (
            lambda: call_checks.requeue_remote_fetch(TO_BE_FETCHED),
            ({"account_id": 1, "_id": 7, "status": "remote_fetch_queued"}, DUE_NOW),
        )
    ],
    "record_fetch": [
        (
            lambda: call_checks.record_fetch(TO_BE_FETCHED, {"sid": "CA1", "status": "no-answer"}),
            fetched(
                status="not_answered",
                updated_at=NOW,
                remote_response={"sid": "CA1", "status": "no-answer"},
                remote_status="no-answer",
                remote_error_message=None,
                _ended=NOW,
            ),
        ),
        (
            lambda: call_checks.record_fetch(TO_BE_FETCHED, {"sid": "CA1", "status": "queued"}),
            fetched(
                status="in_progress",
                updated_at=NOW,
                remote_response={"sid": "CA1", "status": "queued"},
                remote_status="queued",
                remote_error_message=None,
            ),
        ),
        (
            lambda: call_checks.record_fetch(TO_BE_FETCHED, ANSWERED),
            fetched(
                status="completed",
                updated_at=NOW,
                remote_response=ANSWERED,
                remote_status="completed",
                remote_error_message=None,
                answered_by="human",
                duration=31,
                _ended=NOW,
            ),
        ),
    ],
    "record_fetch_error": [
        (
            lambda: call_checks.record_fetch_error(TO_BE_FETCHED, "503"),
            fetched(status="in_progress", updated_at=NOW, remote_error_message="503"),
        )
    ],
    "abandon_fetch": [
        (
            lambda: call_checks.abandon_fetch({"account_id": 1, "_id": 7}, "broken"),
            fetched(status="remotely_queued", remote_error_message="broken"),
        )
    ],
    "claim_check": [
        (
            lambda: call_checks.claim_check({"account_id": 1, "_id": 7}, NOW, FAR),
            ({"account_id": 1, "_id": 7, "_check": {"$lte": NOW}}, {"$set": {"_check": FAR}}),
        )
    ],
    "schedule_check": [
        (
            lambda: call_checks.schedule_check(CALL_AT_PROVIDER, FAR),
            ({"account_id": 1, "_id": 7, "_check": SOON}, {"$set": {"_check": FAR}}),
        ),
        (
            lambda: call_checks.schedule_check(CALL_AT_PROVIDER, None),
            ({"account_id": 1, "_id": 7, "_check": SOON}, {"$unset": {"_check": ""}}),
        ),
    ],
    "schedule_check_after_failure": [
        (
            lambda: call_checks.schedule_check_after_failure(CALL_AT_PROVIDER, FAR),
            ({"account_id": 1, "_id": 7}, {"$set": {"_check": FAR}}),
        )
    ],
    "postpone_check": [
        (
            lambda: call_checks.postpone_check(CALL_AT_PROVIDER, FAR),
            ({"account_id": 1, "_id": 7, "_check": SOON}, {"$set": {"_check": FAR}}),
        )
    ],
    "record_check": [
        (
            lambda: call_checks.record_check(
                CALL_AT_PROVIDER, call_checks.checked(CALL_AT_PROVIDER, {"sid": "CA1", "status": "completed"}), None
            ),
            (
                {"account_id": 1, "_id": 7, "_check": SOON, "status": "remotely_queued"},
                {
                    "$unset": {"_check": ""},
                    "$set": {
                        "remote_response": {"sid": "CA1", "status": "completed"},
                        "remote_status": "completed",
                        "remote_error_message": None,
                        "status": "completed",
                        "_ended": NOW,
                        "updated_at": NOW,
                        **MARK,
                    },
                },
            ),
        ),
        (
            lambda: call_checks.record_check(
                CALL_AT_PROVIDER, call_checks.checked(CALL_AT_PROVIDER, {"sid": "CA1", "status": "queued"}), FAR
            ),
            (
                {"account_id": 1, "_id": 7, "_check": SOON, "status": "remotely_queued"},
                {
                    "$set": {
                        "_check": FAR,
                        "remote_response": {"sid": "CA1", "status": "queued"},
                        "remote_status": "queued",
                        "remote_error_message": None,
                        "status": "remotely_queued",
                        "updated_at": NOW,
                    },
                },
            ),
        ),
        (
            lambda: call_checks.record_check(CALL_AT_PROVIDER, {"remote_error_message": "503"}, FAR),
            (
                {"account_id": 1, "_id": 7, "_check": SOON, "status": "remotely_queued"},
                {"$set": {"_check": FAR, "remote_error_message": "503", "updated_at": NOW}},
            ),
        ),
    ],
    "bring_back_due": [
        (
            lambda: call_checks.bring_back_due(NOW, LATE, TOO_FAR),
            (
                {
                    "status": {"$in": ["queued", "remote_fetch_queued"]},
                    "_work.due": {"$gt": LATE},
                    "$or": [
                        {"_work.tries": {"$in": [None, 0]}},
                        {"updated_at": {"$gt": LATE}},
                        {"_work.due": {"$gt": TOO_FAR}},
                    ],
                },
                {"$set": {"_work.due": NOW}},
            ),
        )
    ],
    "bring_back_settling": [
        (
            lambda: call_placement.bring_back_settling(NOW, LATE),
            (
                {"_work.lease": {"$gt": LATE}, "$or": [{"_work.reason": THERE}, {"_work.asked": THERE}]},
                {"$set": {"_work.lease": NOW}},
            ),
        )
    ],
    "check_silent": [
        (
            lambda: call_checks.check_silent(NOW, LATE, FAR, TOO_FAR),
            (
                {
                    "status": {"$in": ["remotely_queued", "in_progress"]},
                    "remote_call_id": {"$ne": None},
                    "_check": None,
                    "$and": [
                        {"$or": [{"_attempt": THERE, "updated_at": {"$lt": LATE}}, {"updated_at": {"$lt": FAR}}]},
                        {
                            "$or": [
                                {"remotely_queued_at": {"$gte": TOO_FAR}},
                                {"remotely_queued_at": None, "created_at": {"$gte": TOO_FAR}},
                            ]
                        },
                    ],
                },
                {"$set": {"_check": NOW}},
            ),
        )
    ],
    "bring_back_check": [
        (
            lambda: call_checks.bring_back_check(NOW, LATE, TOO_FAR),
            (
                {
                    "_check": {"$gt": LATE},
                    "$or": [{"updated_at": {"$gt": LATE}}, {"_check": {"$gt": TOO_FAR}}],
                },
                {"$set": {"_check": NOW}},
            ),
        )
    ],
    "match_attempt": [
        (
            lambda: call_reports.match_attempt(CALL, ["+855125550001"], "CA1", "outbound-api"),
            (
                {
                    "account_id": 1,
                    "_id": 7,
                    "status": "queued",
                    "_work.lease": THERE,
                    "_work.attempt": THERE,
                    "msisdn": {"$in": ["+855125550001"]},
                    "remote_call_id": None,
                },
                {"$set": {"remote_call_id": "CA1", "remote_direction": "outbound-api"}},
            ),
        )
    ],
    "report": [
        (
            lambda: of_report(CALL, CallStatus="ringing"),
            (
                {
                    "account_id": 1,
                    "_id": 7,
                    "$or": [
                        {
                            "status": {"$in": UNDER_WAY_STATUSES},
                            "remote_status": {"$nin": ["in-progress"]},
                        }
                    ],
                },
                {
                    "$set": {
                        "remote_status": "ringing",
                        "status": "in_progress",
                        "updated_at": NOW,
                        "remote_error_message": None,
                        **MARK,
                    },
                    "$unset": {"_work.due": "", "_fetch_from": ""},
                },
            ),
        ),
        (
            lambda: of_report(
                CALL_AT_PROVIDER, CallStatus="failed", SequenceNumber="3", ErrorCode="32005", SipResponseCode="503"
            ),
            (
                {
                    "account_id": 1,
                    "_id": 7,
                    "$or": [
                        {
                            "status": {"$in": UNDER_WAY_STATUSES},
                            "remote_status": {"$nin": []},
                            "$or": [{"_sequence": {"$lt": 3}}, {"_sequence": None}],
                        },
                        {"status": {"$in": FINAL_STATUSES}, "_sequence": {"$lt": 3}},
                        {"status": "failed"},
                    ],
                },
                {
                    "$set": {
                        "remote_status": "failed",
                        "status": "failed",
                        "remote_error_message": "32005 (SIP 503)",
                        "error_code": "32005",
                        "updated_at": NOW,
                        **MARK,
                        "_ended": NOW,
                    },
                    "$max": {"_sequence": 3},
                    "$unset": {"_work.due": "", "_fetch_from": ""},
                },
            ),
        ),
        (
            lambda: of_report(
                {**CALL_AT_PROVIDER, "status": "failed", "remote_status": "failed"},
                CallStatus="failed",
                SipResponseCode="404",
            ),
            (
                {
                    "account_id": 1,
                    "_id": 7,
                    "$or": [
                        {"status": {"$in": UNDER_WAY_STATUSES}, "remote_status": {"$nin": []}},
                        {"status": "failed"},
                    ],
                },
                {
                    "$set": {
                        "remote_status": "failed",
                        "status": "failed",
                        "remote_error_message": "SIP 404",
                        "error_code": "SIP 404",
                        "_refusal": "invalid_number",
                        "updated_at": NOW,
                        **MARK,
                    }
                },
            ),
        ),
        (
            lambda: of_report(
                {**CALL_AT_PROVIDER, "status": "completed", "remote_status": "completed"},
                CallStatus="completed",
                CallDuration="31",
            ),
            (
                {
                    "account_id": 1,
                    "_id": 7,
                    "$or": [
                        {"status": {"$in": UNDER_WAY_STATUSES}, "remote_status": {"$nin": []}},
                        {"status": "completed"},
                    ],
                },
                {
                    "$set": {
                        "remote_status": "completed",
                        "status": "completed",
                        "duration": 31,
                        "updated_at": NOW,
                        **MARK,
                    }
                },
            ),
        ),
    ],
    "learn": [
        (
            lambda: call_reports.learn(CALL, reported_status({"AnsweredBy": "machine_start"})),
            (
                {"account_id": 1, "_id": 7, "answered_by": {"$in": [None, "unknown"]}},
                {"$set": {"answered_by": "machine_start", "updated_at": NOW, **MARK}},
            ),
        ),
        (
            lambda: call_reports.learn(CALL, reported_status({"CallStatus": "in-progress", "Digits": "1"})),
            ({"account_id": 1, "_id": 7}, {"$set": {"_person": True, "updated_at": NOW, **MARK}}),
        ),
        # A call that came in has no participation, and so no outcome.
        (
            lambda: call_reports.learn(
                {**CALL, "callout_participation_id": None}, reported_status({"AnsweredBy": "human"})
            ),
            (
                {"account_id": 1, "_id": 7, "answered_by": {"$in": [None, "unknown"]}},
                {"$set": {"answered_by": "human", "updated_at": NOW}},
            ),
        ),
    ],
}


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (clock, call_work, outcome, *MODULES):
        monkeypatch.setattr(module, "now", lambda: NOW, raising=False)
    monkeypatch.setattr(outcome.secrets, "randbits", lambda bits: CHANCE)


def transitions() -> set[str]:
    """The functions that give a transition, or several."""
    return {
        name
        for module in MODULES
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and "Transition" in str(getattr(value, "__annotations__", {}).get("return", ""))
    }


def test_every_transition_is_pinned() -> None:
    assert transitions() == PINNED.keys()


@pytest.mark.parametrize("name", PINNED)
def test_a_transition_is_what_it_was(name: str) -> None:
    for call, expected in PINNED[name]:
        found = call()
        pairs = [found] if isinstance(found, Transition) else list(found)
        wanted = expected if isinstance(expected, list) else [expected]
        assert [tuple(pair) for pair in pairs] == wanted
        # So that neither the order of names nor an enumeration makes a difference to the database.
        encoded = [(bson.encode(condition), bson.encode(update)) for condition, update in pairs]
        assert encoded == [(bson.encode(condition), bson.encode(update)) for condition, update in wanted]


def test_every_update_that_ends_a_call_is_counted_but_reports_that_correct_an_end() -> None:
    updates = [
        (name, update)
        for name, cases in PINNED.items()
        for _, pinned in cases
        for _, update in (pinned if isinstance(pinned, list) else [pinned])
    ]
    final = [(name, update) for name, update in updates if update.get("$set", {}).get("status") in FINAL]
    assert {name for name, update in final if outcome_of(update) is None} == {"report"}
    assert {name for name, update in updates if outcome_of(update) is not None} == {name for name, _ in final}


@pytest.mark.parametrize(
    ("call", "details"),
    [
        (CALL, {}),
        (CALL, {"SequenceNumber": "3"}),
        (CALL_AT_PROVIDER, {"CallStatus": "queued"}),
        ({**CALL_AT_PROVIDER, "_sequence": 3}, {"CallStatus": "queued", "SequenceNumber": "3"}),
        ({**CALL, "status": "busy", "remote_status": "busy"}, {"CallStatus": "busy"}),
        ({**CALL, "status": "busy", "remote_status": "busy"}, {"CallStatus": "busy", "CallDuration": "0"}),
        (
            {**CALL, "status": "completed", "remote_status": "completed", "duration": 31},
            {"CallStatus": "completed", "CallDuration": "32"},
        ),
    ],
)
def test_a_report_that_says_nothing_new_moves_nothing(call: dict[str, Any], details: dict[str, str]) -> None:
    assert of_report(call, **details) is None


@pytest.mark.parametrize(
    ("call", "details"),
    [
        (CALL, {"CallStatus": "completed"}),
        (CALL, {"AnsweredBy": " "}),
        ({**CALL, "answered_by": "machine_start"}, {"AnsweredBy": "human"}),
        ({**CALL, "answered_by": "human"}, {"AnsweredBy": "unknown"}),
        ({**CALL, "_person": True}, {"Digits": "1"}),
        (CALL, {"Digits": "hangup"}),
        (CALL, {"Digits": ""}),
    ],
)
def test_a_report_that_tells_nothing_new_of_who_answered_is_not_kept(
    call: dict[str, Any], details: dict[str, str]
) -> None:
    assert call_reports.learn(call, reported_status(details)) is None


def test_the_groups_of_statuses_are_what_they_were() -> None:
    assert list(CALL_STATUSES) == [
        "created",
        "queued",
        "remotely_queued",
        "errored",
        "remote_fetch_queued",
        "failed",
        "in_progress",
        "busy",
        "not_answered",
        "canceled",
        "completed",
    ]
    assert list(AT_PROVIDER) == ["remotely_queued", "in_progress"]
    assert list(UNDER_WAY) == UNDER_WAY_STATUSES
    assert list(FINAL) == FINAL_STATUSES
    assert {*UNDER_WAY, *FINAL, CallStatus.CREATED} == set(CALL_STATUSES)


def strings_of(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_nobody_else_spells_what_the_background_knows_of_a_call() -> None:
    """Batch operations have a ``_work`` of their own, with ``due`` and other names."""
    of_calls = {path for path in vars(call_work).values() if isinstance(path, str) and path.startswith("_")}
    of_calls -= {call_work.WORK, call_work.DUE, call_work.TRIES}
    package = Path(call_work.__file__).parents[1]
    spelled = {
        str(path.relative_to(package)): found
        for path in package.rglob("*.py")
        if (found := strings_of(path) & of_calls)
    }
    assert spelled == {"models/call_work.py": of_calls}


def diagram() -> list[tuple[str, str, set[str]]]:
    """The arrows of docs/architecture.md: from, to, and the transitions on each."""
    section = ARCHITECTURE.read_text().partition("## The life of a phone call")[2].partition("\n## ")[0]
    (drawn,) = re.findall(r"```mermaid\n(.*?)```", section, re.DOTALL)
    arrows = re.findall(r"^\s*(\S+) --> (\S+?)(?:: (.+))?$", drawn, re.MULTILINE)
    return [(start, end, set(filter(None, names.split(", ")))) for start, end, names in arrows]


def test_the_diagram_has_exactly_the_transitions() -> None:
    drawn: set[str] = set()
    for _, __, names in diagram():
        drawn |= names
    assert drawn == transitions()


def test_the_diagram_has_the_statuses_and_where_a_transition_leads() -> None:
    # In the diagram a queued call waits, is claimed, is held or is unknown; and those that took place are one box.
    ended = {"completed", "busy", "not_answered", "failed", "canceled"}
    boxes = {box for start, end, _ in diagram() for box in (start, end)} - {"[*]"}
    inner = {"waiting", "claimed", "held", "unknown"}
    assert boxes - inner - {"ended"} | ended == set(CALL_STATUSES)
    for name, cases in PINNED.items():
        for _, expected in cases:
            for _, update in expected if isinstance(expected, list) else [expected]:
                if (status := update.get("$set", {}).get("status")) is not None:
                    ends = {end for _, end, names in diagram() if name in names}
                    box = "waiting" if status == "queued" else "ended" if status in ended else status
                    assert box in ends, name

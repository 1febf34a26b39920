"""Where a callout stands, and what moves it."""

from __future__ import annotations

from scfm.models.state_machine import StateMachine

MACHINE = StateMachine(
    "initialized",
    {
        "start": {"initialized": "running"},
        "pause": {"running": "paused"},
        "resume": {"paused": "running", "stopped": "running"},
        # From initialized only while calls of it wait or go on: see Callouts.event_changes.
        "stop": {"running": "stopped", "paused": "stopped", "initialized": "stopped"},
        # Of accounts that want plans approved: see plan_approval.
        "submit": {"initialized": "initialized"},
        "withdraw": {"initialized": "initialized"},
        "approve": {"initialized": "running"},
        "reject": {"initialized": "initialized"},
    },
)
# No event leads to COMPLETED: a callout with a plan becomes it when everybody's outcome is settled.
COMPLETED = "completed"
STATUSES = (MACHINE.initial, "running", "paused", "stopped", COMPLETED)

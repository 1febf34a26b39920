"""Follows a callout to its end."""

from __future__ import annotations

from scfm.cli.alert.alert_screen import AlertScreen
from scfm.cli.alert.alert_words import summary_words
from scfm.cli.alert.progress_stream import progress
from scfm.cli.server_api import RequestRefused, ServerApi
from scfm.models.outcome import Outcome
from scfm.results.callout_statistics import CalloutStatistics
from scfm.results.people import People, people_left

# Those who need nobody's attention any more.
FINE = (Outcome.REACHED, Outcome.ACKNOWLEDGED, Outcome.EXCLUDED)


def watch_callout(api: ServerApi, screen: AlertScreen, callout_id: int, away_seconds: float) -> bool:
    """Show how the callout goes, until it is over; whether everybody was reached. Raises CommandFailed."""
    newest: CalloutStatistics | None = None
    with screen.progress_view(f"callout {callout_id}") as view:
        for update in progress(api, callout_id, away_seconds, view.lost):
            if update is not None:
                newest = update
                view.show(update)
            if newest is not None and _is_over(api, callout_id, newest):
                break
    if newest is None:
        raise RequestRefused(f"callout {callout_id} has no statistics")
    screen.say(summary_words(callout_id, newest))
    return everybody_reached(newest["people"])


def everybody_reached(people: People) -> bool:
    """Whether all have answered or acknowledged, beside those who are not called."""
    return sum(people[outcome.value] for outcome in FINE) == people["total"]


def _is_over(api: ServerApi, callout_id: int, statistics: CalloutStatistics) -> bool:
    """Whether nobody will be called any more: it is completed, or stopped; without a plan, once nobody is left."""
    people = statistics["people"]
    if statistics["completed_at"] is not None:
        return True
    if people[Outcome.CALLING]:
        return False
    callout = api.get(f"/api/callouts/{callout_id}")
    if callout["plan"] is None:
        return callout["status"] == "stopped" or (people["total"] > 0 and not people_left(people))
    return callout["status"] == "stopped" and not people_left(people)

"""The steps of the guide's disaster alert, each checked."""

from __future__ import annotations

import time
from collections import Counter

from scfm.cli.demo.api import Api, StepFailed
from scfm.cli.demo.screen import Screen

MORE_CONTACTS = 200
ALL_CONTACTS = MORE_CONTACTS + 2
FINAL_STATUSES = ("completed", "not_answered", "busy", "failed", "canceled")
STAGE_SECONDS = 30.0
POLL_SECONDS = 0.1


class Alert:
    """The disaster alert, step by step, each as the guide has it."""

    def __init__(self, api: Api, screen: Screen) -> None:
        self._api = api
        self._screen = screen
        # The phones that are answered ask our own server what to say.
        self._url = f"http://127.0.0.1:{api.port}/api/remote_phone_call_events"

    def walk(self) -> None:
        """Every step, in order. Raises StepFailed."""
        self._add_alice_and_bob()
        self._add_more_contacts()
        self._api.post("/api/callouts", id=1, status="initialized", call_flow_logic=None, metadata={})
        self._screen.step_done("a callout: initialized")
        self._populate()
        self._api.post("/api/callouts/1/callout_events", {"event": "start"}, id=1, status="running")
        self._screen.step_done("the callout: running")
        self._create_phone_calls()
        self._queue_phone_calls()
        self._fetch_statuses()
        self._show_statuses()

    def _add_alice_and_bob(self) -> None:
        api = self._api
        api.post("/api/contacts", {"msisdn": "+252662345678"}, id=1, msisdn="+252662345678", metadata={})
        api.patch("/api/contacts/1", {"[metadata][name]": "Alice", "[metadata][gender]": "f"})
        api.get("/api/contacts/1", metadata={"name": "Alice", "gender": "f"})
        bob = {"msisdn": "+252662345679", "[metadata][name]": "Bob", "[metadata][gender]": "m"}
        api.post("/api/contacts", bob, id=2, msisdn="+252662345679", metadata={"name": "Bob", "gender": "m"})
        api.get("/api/contacts?q[metadata][gender]=f", total=1)
        self._screen.step_done("contacts: Alice and Bob")

    def _add_more_contacts(self) -> None:
        with self._screen.progress_bar("more contacts", MORE_CONTACTS) as show:
            for number in range(1, MORE_CONTACTS + 1):
                msisdn = f"+25266{2346000 + number}"
                self._api.post("/api/contacts", {"msisdn": msisdn}, id=number + 2, msisdn=msisdn)
                show(number)
        self._api.get("/api/contacts", total=ALL_CONTACTS)

    def _populate(self) -> None:
        population = {"type": "BatchOperation::CalloutPopulation"}
        self._api.post("/api/callouts/1/batch_operations", population, id=1, callout_id=1, status="preview")
        self._api.get("/api/batch_operations/1/preview/contacts", total=ALL_CONTACTS)
        self._run_operation(1)
        self._await_total("participations in the callout", "/api/callouts/1/callout_participations")

    def _create_phone_calls(self) -> None:
        parameters = {
            "type": "BatchOperation::PhoneCallCreate",
            "parameters[remote_request_params][from]": "1234",
            "parameters[remote_request_params][url]": self._url,
            "parameters[callout_filter_params][status]": "running",
        }
        self._api.post("/api/batch_operations", parameters, id=2, callout_id=None, status="preview")
        self._api.get("/api/batch_operations/2/preview/callout_participations", total=ALL_CONTACTS)
        self._run_operation(2)
        self._await_total("phone calls created", "/api/batch_operations/2/phone_calls")

    def _queue_phone_calls(self) -> None:
        self._api.post("/api/batch_operations", _phone_call_operation("Queue", "created"), id=3, status="preview")
        self._api.get("/api/batch_operations/3/preview/phone_calls", total=ALL_CONTACTS)
        self._run_operation(3)
        self._api.get("/api/batch_operations/3/phone_calls", total=ALL_CONTACTS)
        self._await_total("phone calls at the provider", "/api/phone_calls?q[remotely_queued_at_after]=2018-01-01")

    def _fetch_statuses(self) -> None:
        """Fetch the statuses from the provider, again and again until each call has a final one."""
        open_calls = _phone_call_operation("QueueRemoteFetch", "remotely_queued,in_progress")
        self._api.post("/api/batch_operations", open_calls, id=4, status="preview")
        self._api.get("/api/batch_operations/4/preview/phone_calls", total=ALL_CONTACTS)
        deadline, event = _deadline(), "queue"
        with self._screen.progress_bar("phone calls with an outcome", ALL_CONTACTS) as show:
            while (ended := self._api.count(f"/api/phone_calls?q[status]={','.join(FINAL_STATUSES)}")) < ALL_CONTACTS:
                show(ended)
                _check_time(deadline, f"{ALL_CONTACTS} calls that have ended", f"{ended}")
                self._run_operation(4, event)
                event = "requeue"

    def _show_statuses(self) -> None:
        calls = self._api.get("/api/phone_calls?per_page=1000", total=ALL_CONTACTS).json
        for field in ("contact_id", "remote_call_id"):
            different = len({call[field] for call in calls} - {None})
            if different != ALL_CONTACTS:
                raise StepFailed(f"{ALL_CONTACTS} calls, each with a {field} of its own", f"{different}")
        counts = Counter(call["status"] for call in calls)
        heard = self._api.count("/api/remote_phone_call_events")
        if heard != counts["completed"]:
            raise StepFailed(f"one webhook for each of {counts['completed']} completed calls", f"{heard}")
        self._screen.step_done(f"phones that played the message: {heard}")
        self._screen.statuses(counts)

    def _run_operation(self, operation_id: int, event: str = "queue") -> None:
        """Queue the batch operation and wait until it is finished."""
        path = f"/api/batch_operations/{operation_id}"
        self._api.post(f"{path}/batch_operation_events", {"event": event}, id=operation_id, status="queued")
        deadline = _deadline()
        while (status := self._api.get(path, id=operation_id).json["status"]) != "finished":
            _check_time(deadline, f"{path} finished", status)
            time.sleep(POLL_SECONDS)

    def _await_total(self, text: str, path: str) -> None:
        """Wait until the list at PATH holds a member for each contact."""
        deadline = _deadline()
        with self._screen.progress_bar(text, ALL_CONTACTS) as show:
            while (total := self._api.count(path)) != ALL_CONTACTS:
                show(total)
                _check_time(deadline, f"Total: {ALL_CONTACTS} from GET {path}", f"{total}")
                time.sleep(POLL_SECONDS)


def _phone_call_operation(kind: str, statuses: str) -> dict[str, str]:
    """The form of a batch operation PhoneCall<KIND> over the running callout's calls in STATUSES."""
    return {
        "type": f"BatchOperation::PhoneCall{kind}",
        "parameters[callout_filter_params][status]": "running",
        "parameters[phone_call_filter_params][status]": statuses,
    }


def _deadline() -> float:
    return time.monotonic() + STAGE_SECONDS


def _check_time(deadline: float, expected: str, actual: str) -> None:
    """Raises StepFailed once DEADLINE (of the monotonic clock) has passed."""
    if time.monotonic() > deadline:
        raise StepFailed(f"{expected} within {STAGE_SECONDS:g} s", actual)
